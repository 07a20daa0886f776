//! `#[workflow]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, Result, spanned::Spanned};

pub(crate) fn expand(item: TokenStream, manifest: &TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    if function.sig.inputs.len() != 1 {
        let text =
            "a workflow takes the message that started it: `fn run(message: Message) -> Result<Done, Error>`";
        return Err(Error::new(function.sig.span(), text));
    }
    let name = &function.sig.ident;
    Ok(quote! {
        #function

        const _: () = {
            use ::wharf_sdk::bindings::connector::wharf::types::types::{CallError, Message};

            struct Exported;

            impl ::wharf_sdk::bindings::workflow::exports::wharf::workflow::run::Guest for Exported {
                fn run(message: Message) -> ::std::result::Result<::std::string::String, CallError> {
                    ::wharf_sdk::rt::start();
                    ::wharf_sdk::rt::workflow(message, #name)
                }
            }

            ::wharf_sdk::bindings::workflow::export_workflow!(
                Exported with_types_in ::wharf_sdk::bindings::workflow
            );
        };

        #manifest
    })
}
