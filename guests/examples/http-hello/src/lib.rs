//! An unmodified `wasi:http/proxy` component: it uses nothing of Wharf, and
//! runs in any host of that world. Only the last lines put a manifest into it.
//!
//! - `GET /` says hello.
//! - `/echo` gives the body back, chunk by chunk as it comes in.
//! - `/stream` writes lines with pauses between them.
//! - `/fetch?url=` gives back what is there.

#![allow(unsafe_code)] // the exports that `export!` makes, and the manifest's section

mod fetch;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
#[allow(clippy::expect_used)]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "wasi:http/proxy@0.2.12", generate_all });
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::streams::{OutputStream, StreamError};

/// The most that one blocking write takes (`wasi:io/streams`).
const CHUNK: u64 = 4_096;
/// How many lines `/stream` writes.
const LINES: u32 = 5;
/// The pause before each of them, in nanoseconds.
const PAUSE: u64 = 20_000_000;

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "" | "/" => text(out, 200, "Hello from a wasi:http/proxy component.\n"),
            "/echo" => match request.consume() {
                Ok(body) => answer(out, 200, content_type(&request), |to| copy(body, to)),
                Err(()) => text(out, 500, "the body was taken twice\n"),
            },
            "/stream" => answer(out, 200, None, count),
            "/fetch" => fetch::fetch(query, out),
            _ => text(out, 404, "There is / and /echo and /stream and /fetch?url=\n"),
        }
    }
}

fn text(out: ResponseOutparam, status: u16, text: &str) {
    answer(out, status, Some(b"text/plain; charset=utf-8".to_vec()), |to| {
        text.as_bytes().chunks(CHUNK as usize).try_for_each(|chunk| to.blocking_write_and_flush(chunk))
    });
}

/// Sends the head, then lets `write` send the body.
fn answer(
    out: ResponseOutparam,
    status: u16,
    content_type: Option<Vec<u8>>,
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) {
    let headers = Fields::new();
    if let Some(value) = content_type {
        // A value that came in as a header can go out as one.
        let _ = headers.append("content-type", &value);
    }
    let response = OutgoingResponse::new(headers);
    // A status outside 100 to 999 stays 200.
    let _ = response.set_status_code(status);
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    let Ok(body) = body else { return };
    let written = match body.write() {
        Ok(to) => write(&to),
        Err(()) => return,
    };
    // A body that broke off is dropped, not finished: the caller sees that it is not whole.
    if written.is_ok() {
        let _ = OutgoingBody::finish(body, None);
    }
}

fn copy(body: IncomingBody, to: &OutputStream) -> Result<(), StreamError> {
    let from = body.stream().map_err(|()| StreamError::Closed)?;
    loop {
        match from.blocking_read(CHUNK) {
            Ok(chunk) => to.blocking_write_and_flush(&chunk)?,
            Err(StreamError::Closed) => return Ok(()),
            Err(broken) => return Err(broken),
        }
    }
}

fn count(to: &OutputStream) -> Result<(), StreamError> {
    for line in 1..=LINES {
        monotonic_clock::subscribe_duration(PAUSE).block();
        to.blocking_write_and_flush(format!("line {line} of {LINES}\n").as_bytes())?;
    }
    Ok(())
}

fn content_type(request: &IncomingRequest) -> Option<Vec<u8>> {
    request.headers().get("content-type").into_iter().next()
}

bindings::export!(Hello with_types_in bindings);

/// The manifest, in the section where a Wharf registry looks for it.
#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "wharf:manifest")]
static MANIFEST: [u8; include_bytes!("../wharf.toml").len()] = *include_bytes!("../wharf.toml");
