//! A web server that sends the request that it is told in a header `x-wish`:
//! `{"authority", "path", "headers": {name: value}, "body"}`. It answers with the
//! status that came, or the error.
//!
//! - To it: what is no path, frames the request or says another length than the body
//!   has is refused.
//! - To nobody else: the outside system gets one request or none, never a second one in
//!   the first; the bystander is answered, and the host's memory returns to its base
//!   line.
//! - Bounds: 8 MiB of body.

use probes::proxy::bindings::wasi::http::outgoing_handler;
use probes::proxy::bindings::wasi::http::types::{Fields, OutgoingBody, OutgoingRequest, Scheme};
use probes::{Value, at};

fn send(wish: &Value) -> Result<u16, String> {
    let text = |key: &str| at(wish, key).as_str().unwrap_or_default();
    let headers = Fields::new();
    for (name, value) in at(wish, "headers").as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().as_bytes();
        headers.append(name, value).map_err(|error| format!("header: {error:?}"))?;
    }
    let request = OutgoingRequest::new(headers);
    request.set_method(&probes::proxy::bindings::wasi::http::types::Method::Post).map_err(|()| "method")?;
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| "scheme")?;
    request.set_authority(Some(text("authority"))).map_err(|()| "authority")?;
    request.set_path_with_query(Some(text("path"))).map_err(|()| "path")?;
    let body = request.body().map_err(|()| "body")?;
    let answer = outgoing_handler::handle(request, None).map_err(|error| format!("handle: {error:?}"))?;
    let written = body.write().map_err(|()| "stream")?;
    let wrote = written.blocking_write_and_flush(text("body").as_bytes());
    drop(written);
    let finished = OutgoingBody::finish(body, None);
    wrote.map_err(|error| format!("write: {error:?}"))?;
    finished.map_err(|error| format!("finish: {error:?}"))?;
    answer.subscribe().block();
    let came = answer.get().ok_or("no answer")?.map_err(|()| "taken twice")?;
    came.map(|answer| answer.status()).map_err(|error| format!("answer: {error:?}"))
}

probes::proxy! {
    name: "proxy-forward",
    manifest: "[config.base-url]\nkind = \"url\"\n[grants]\nhttp = [\"{base-url}\"]\n",
    handle: |request, out| {
        let wish = request.headers().get("x-wish").concat();
        let did = send(&probes::parse(&String::from_utf8_lossy(&wish)));
        probes::proxy::say(out, &format!("{did:?}"));
    },
}
