//! Web servers written by hand in WebAssembly text, for what no toolchain makes.

/// A server whose component has these parts besides; `module` is the core
/// module that serves: it exports `handle`, which takes two handles.
pub(crate) fn server(name: &str, parts: &str, module: &str) -> Vec<u8> {
    let manifest = format!("name = \"hand/{name}\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n");
    let component = format!(
        r#"(component
            (@custom "wharf:manifest" {manifest:?})
            (import "wasi:http/types@0.2.12" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $out))
            {parts}
            {module}
            (func $handle (param "request" (own $request)) (param "response-out" (own $out))
                (canon lift (core func $server "handle")))
            (instance $served (export "handle" (func $handle)))
            (export "wasi:http/incoming-handler@0.2.12" (instance $served)))"#
    );
    wat::parse_str(&component).unwrap_or_else(|error| panic!("{error}\n{component}"))
}

/// The core module, instantiated with nothing: declarations, and what `handle` does.
pub(crate) fn module(more: &str, handle: &str) -> String {
    format!(
        "(core module $m {more} (func (export \"handle\") (param i32 i32) {handle}))
         (core instance $server (instantiate $m))"
    )
}
