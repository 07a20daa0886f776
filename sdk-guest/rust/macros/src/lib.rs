//! The attribute macros of `wharf-sdk`: plain functions become a component's
//! exports, and the package's manifest goes into the component.

mod connector;
mod manifest;
#[cfg(test)]
mod tests;
mod workflow;

use proc_macro::TokenStream;

/// Makes a connector of an `impl` block.
///
/// - `#[outbound("name")] fn(input: I) -> Result<O, Error>`, or with a second
///   parameter `&Context`: an outbound endpoint. `I: DeserializeOwned`, `O: Serialize`.
/// - `#[inbound("name")] fn(request: &Request) -> Result<Received, Error>`.
/// - `#[check] fn() -> Result<String, Error>`: tests the connection, at most one.
///
/// Other functions in the block stay as they are. The manifest is the
/// `wharf.toml` beside `Cargo.toml`; `#[connector(manifest = "path")]` names another.
#[proc_macro_attribute]
pub fn connector(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = manifest::embed(arguments.into()).and_then(|embed| connector::expand(item.into(), &embed));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a workflow of a function `fn(message: Message) -> Result<O, Error>`.
///
/// The manifest is the `wharf.toml` beside `Cargo.toml`;
/// `#[workflow(manifest = "path")]` names another.
#[proc_macro_attribute]
pub fn workflow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = manifest::embed(arguments.into()).and_then(|embed| workflow::expand(item.into(), &embed));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
