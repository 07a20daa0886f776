//! The attribute macros of `wharf-sdk`: plain functions become a component's
//! exports, and the crate's `wharf.toml` goes into the component.

mod connector;
mod workflow;

use proc_macro::TokenStream;
use quote::quote;

/// Makes a connector of an `impl` block.
///
/// - `#[outbound("name")] fn(input: I) -> Result<O, Error>`, or with a second
///   parameter `&Context`: an outbound endpoint. `I: DeserializeOwned`, `O: Serialize`.
/// - `#[inbound("name")] fn(request: &Request) -> Result<Received, Error>`.
/// - `#[check] fn() -> Result<String, Error>`: tests the connection, at most one.
///
/// Other functions in the block stay as they are.
#[proc_macro_attribute]
pub fn connector(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(no_arguments(&arguments).and_then(|()| connector::expand(item.into())))
}

/// Makes a workflow of a function `fn(message: Message) -> Result<O, Error>`.
#[proc_macro_attribute]
pub fn workflow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(no_arguments(&arguments).and_then(|()| workflow::expand(item.into())))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}

fn no_arguments(arguments: &TokenStream) -> syn::Result<()> {
    if arguments.is_empty() {
        return Ok(());
    }
    let text = "takes no arguments: names and grants are in wharf.toml";
    Err(syn::Error::new(proc_macro2::Span::call_site(), text))
}

/// Embeds the `wharf.toml` beside the crate's `Cargo.toml`. `include_bytes!`
/// makes cargo rebuild when it changes.
fn embed_manifest() -> proc_macro2::TokenStream {
    quote! {
        ::wharf_sdk::embed_manifest!(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/wharf.toml")));
    }
}
