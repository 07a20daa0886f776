//! `#[connector]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Ident, ImplItem, ImplItemFn, ItemImpl, LitStr, Result, spanned::Spanned};

/// One function with one of our attributes.
enum Served {
    Outbound { name: LitStr, function: Ident, with_context: bool },
    Inbound { name: LitStr, function: Ident },
    Check { function: Ident },
}

pub(crate) fn expand(item: TokenStream, manifest: &TokenStream) -> Result<TokenStream> {
    let mut block: ItemImpl = syn::parse2(item)?;
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new(
            path.span(),
            "#[connector] goes on an inherent block: `impl MyConnector { … }`",
        ));
    }
    let mut served = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            served.extend(take(function)?);
        }
    }
    refuse_repetitions(&served)?;
    Ok(generate(&block, &served, manifest))
}

fn attribute_name(attribute: &Attribute) -> Option<String> {
    attribute.path().segments.last().map(|segment| segment.ident.to_string())
}

/// Takes our attribute off a function.
fn take(function: &mut ImplItemFn) -> Result<Option<Served>> {
    let ours = |attribute: &Attribute| {
        matches!(attribute_name(attribute).as_deref(), Some("outbound" | "inbound" | "check"))
    };
    let Some(at) = function.attrs.iter().position(ours) else { return Ok(None) };
    let attribute = function.attrs.remove(at);
    let name = function.sig.ident.clone();
    let parameters = function.sig.inputs.len();
    if let Some(receiver) = function.sig.receiver() {
        return Err(Error::new(receiver.span(), "each call has a fresh instance: there is no `self`"));
    }
    let wrong = |want: &str| Err(Error::new(function.sig.span(), want));
    match attribute_name(&attribute).as_deref() {
        Some("check") => match parameters {
            0 => Ok(Some(Served::Check { function: name })),
            _ => wrong("a check takes nothing: `fn check() -> Result<String, Error>`"),
        },
        Some("inbound") => match parameters {
            1 => Ok(Some(Served::Inbound { name: endpoint_name(&attribute)?, function: name })),
            _ => wrong("an inbound endpoint takes `request: &Request`"),
        },
        _ => match parameters {
            1 | 2 => Ok(Some(Served::Outbound {
                name: endpoint_name(&attribute)?,
                function: name,
                with_context: parameters == 2,
            })),
            _ => wrong("an outbound endpoint takes its input and, if it wants, `context: &Context`"),
        },
    }
}

/// The name in `#[outbound("name")]`: what the manifest says too.
fn endpoint_name(attribute: &Attribute) -> Result<LitStr> {
    let name: LitStr = attribute.parse_args().map_err(|_| {
        let text = "say the endpoint's name as in wharf.toml: `#[outbound(\"create-lead\")]`";
        Error::new(attribute.span(), text)
    })?;
    let text = name.value();
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits {
        Ok(name)
    } else {
        let text = "an endpoint's name has 1 to 63 lower-case letters, digits and inner hyphens";
        Err(Error::new(name.span(), text))
    }
}

fn refuse_repetitions(served: &[Served]) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    let mut checked = false;
    for one in served {
        match one {
            Served::Outbound { name, .. } | Served::Inbound { name, .. } => {
                if !names.insert(name.value()) {
                    return Err(Error::new(name.span(), "there is already an endpoint of this name"));
                }
            }
            Served::Check { function } => {
                if std::mem::replace(&mut checked, true) {
                    return Err(Error::new(function.span(), "there is already a #[check]"));
                }
            }
        }
    }
    if names.is_empty() {
        let text = "a connector has at least one `#[outbound(\"…\")]` or `#[inbound(\"…\")]` function";
        return Err(Error::new(proc_macro2::Span::call_site(), text));
    }
    Ok(())
}

fn generate(block: &ItemImpl, served: &[Served], manifest: &TokenStream) -> TokenStream {
    let connector = &block.self_ty;
    let (mut described, mut calls, mut receives) = (Vec::new(), Vec::new(), Vec::new());
    let mut check = quote! { ::std::result::Result::Ok("there is nothing to test".to_owned()) };
    for one in served {
        match one {
            Served::Check { function } => {
                check = quote! { ::std::result::Result::Ok(<#connector>::#function()?) };
            }
            Served::Inbound { name, function } => {
                described.push(quote! { ::wharf_sdk::rt::endpoint(#name, true) });
                receives.push(quote! { #name => ::wharf_sdk::rt::inbound(request, <#connector>::#function) });
            }
            Served::Outbound { name, function, with_context } => {
                described.push(quote! { ::wharf_sdk::rt::endpoint(#name, false) });
                let run = if *with_context {
                    quote! { <#connector>::#function }
                } else {
                    quote! { |input, _| <#connector>::#function(input) }
                };
                calls.push(quote! { #name => ::wharf_sdk::rt::outbound(request, #run) });
            }
        }
    }
    quote! {
        #block

        const _: () = {
            use ::wharf_sdk::bindings::connector::{
                exports::wharf::endpoints::endpoints as wit, wharf::types::types::CallError,
            };

            struct Exported;

            impl wit::Guest for Exported {
                fn describe() -> ::std::vec::Vec<wit::Endpoint> {
                    ::wharf_sdk::rt::start();
                    ::std::vec![#(#described),*]
                }

                fn check() -> ::std::result::Result<::std::string::String, CallError> {
                    ::wharf_sdk::rt::start();
                    #check
                }

                fn call(
                    request: wit::CallRequest,
                ) -> ::std::result::Result<::std::string::String, CallError> {
                    ::wharf_sdk::rt::start();
                    match request.endpoint.as_str() {
                        #(#calls,)*
                        other => ::std::result::Result::Err(::wharf_sdk::rt::unknown(other)),
                    }
                }

                fn receive(
                    request: wit::InboundRequest,
                ) -> ::std::result::Result<wit::Received, CallError> {
                    ::wharf_sdk::rt::start();
                    match request.endpoint.as_str() {
                        #(#receives,)*
                        other => ::std::result::Result::Err(::wharf_sdk::rt::unknown(other)),
                    }
                }
            }

            ::wharf_sdk::bindings::connector::export_connector!(
                Exported with_types_in ::wharf_sdk::bindings::connector
            );
        };

        #manifest
    }
}
