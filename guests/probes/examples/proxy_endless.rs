//! A web server whose answer never ends.
//!
//! - To it: it is cut at its wall time, and does not look whole.
//! - To nobody else: a visitor who leaves frees its place; the bystander is answered,
//!   and the host's memory returns to its base line.
//! - Bounds: the wall time of its connection.

fn pour(out: probes::proxy::ResponseOutparam) {
    let Some(body) = probes::proxy::head(out) else { return };
    let Ok(stream) = body.write() else { return };
    while stream.blocking_write_and_flush(&[b'x'; 4_096]).is_ok() {}
}

probes::proxy! {
    name: "proxy-endless",
    handle: |_, out| pour(out),
}
