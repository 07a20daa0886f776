//! What the probes of the world `wasi:http/proxy` share. They import nothing of Wharf.

/// The bindings of `wasi:http/proxy`, generated from the vendored WIT.
#[allow(missing_docs, unreachable_pub, unsafe_code)]
#[allow(clippy::all, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "wasi:http/proxy@0.2.12",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_proxy",
        default_bindings_module: "probes::proxy::bindings",
    });
}

pub use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// Answers 200 with the status line and headers only; gives the body to write.
pub fn head(out: ResponseOutparam) -> Option<OutgoingBody> {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().ok();
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Answers 200 with this text.
pub fn say(out: ResponseOutparam, text: &str) {
    let Some(body) = head(out) else { return };
    if let Ok(stream) = body.write() {
        for chunk in text.as_bytes().chunks(4_096) {
            // The caller may be gone; then there is nobody to tell.
            let _ = stream.blocking_write_and_flush(chunk);
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

/// A `wasi:http/proxy` component with one behaviour; `manifest` is what
/// `wharf.toml` says besides name, version and world.
#[macro_export]
macro_rules! proxy {
    (name: $name:literal, handle: $handle:expr $(,)?) => {
        $crate::proxy! { name: $name, manifest: "", handle: $handle }
    };
    (name: $name:literal, manifest: $more:literal, handle: $handle:expr $(,)?) => {
        struct Probe;

        impl $crate::proxy::bindings::exports::wasi::http::incoming_handler::Guest for Probe {
            fn handle(request: $crate::proxy::IncomingRequest, out: $crate::proxy::ResponseOutparam) {
                let handle: fn($crate::proxy::IncomingRequest, $crate::proxy::ResponseOutparam) = $handle;
                handle(request, out)
            }
        }

        $crate::proxy::bindings::export_proxy!(Probe with_types_in $crate::proxy::bindings);
        ::wharf_sdk::embed_manifest!(
            concat!("name = \"probe/", $name, "\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n", $more)
                .as_bytes()
        );
    };
}
