//! A web server that sends requests to its query's authority for ever and keeps every
//! future answer.
//!
//! - To it: it ends at its outbound requests, and its caller gets a 502.
//! - To nobody else: the outside system gets no more than these, and its sockets are
//!   closed after the call; the bystander is answered, and the host's memory returns to
//!   its base line.
//! - Bounds: 100 outbound requests, 1,000 handles.

use probes::proxy::bindings::wasi::http::outgoing_handler;
use probes::proxy::bindings::wasi::http::types::{Fields, OutgoingRequest, Scheme};

fn send(authority: &str) -> ! {
    let mut futures = Vec::new();
    loop {
        let request = OutgoingRequest::new(Fields::new());
        // What cannot be set is refused when it is sent.
        let _ = request.set_scheme(Some(&Scheme::Http));
        let _ = request.set_authority(Some(authority));
        let _ = request.set_path_with_query(Some("/slow?ms=60000"));
        futures.push(outgoing_handler::handle(request, None));
    }
}

probes::proxy! {
    name: "proxy-futures",
    manifest: "[config.base-url]\nkind = \"url\"\n[grants]\nhttp = [\"{base-url}\"]\n",
    handle: |request, _| {
        let target = request.path_with_query().unwrap_or_default();
        send(target.split_once('?').unwrap_or_default().1)
    },
}
