//! The manifest's way into the component.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, LitStr, Result};

/// Embeds `wharf.toml`, or the file that the arguments name, from the folder of
/// `Cargo.toml`. `include_bytes!` makes cargo rebuild when it changes.
pub(crate) fn embed(arguments: TokenStream) -> Result<TokenStream> {
    let mut path = "wharf.toml".to_owned();
    let mut span = proc_macro2::Span::call_site();
    let parser = syn::meta::parser(|argument| {
        if !argument.path.is_ident("manifest") {
            return Err(
                argument.error("the only argument is `manifest = \"path\"`; names and grants are in it")
            );
        }
        let value: LitStr = argument.value()?.parse()?;
        (path, span) = (value.value(), value.span());
        Ok(())
    });
    parser.parse2(arguments)?;
    let missing = |folder: String| !std::path::Path::new(&folder).join(&path).is_file();
    if std::env::var("CARGO_MANIFEST_DIR").is_ok_and(missing) {
        return Err(Error::new(
            span,
            format!("there is no `{path}` beside Cargo.toml: it says what the package is"),
        ));
    }
    let path = format!("/{path}");
    Ok(quote! {
        ::wharf_sdk::embed_manifest!(include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), #path)));
    })
}
