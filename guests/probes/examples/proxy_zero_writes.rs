//! A web server that writes nothing, for ever.
//!
//! - To it: it is cut at its wall time or its fuel; its answer does not look whole.
//! - To nobody else: no worker of the host spins for it longer than that; the bystander
//!   is answered, and the host's memory returns to its base line.
//! - Bounds: 100 million units of fuel, the wall time of its connection.

fn write(out: probes::proxy::ResponseOutparam) {
    let Some(body) = probes::proxy::head(out) else { return };
    let Ok(stream) = body.write() else { return };
    while stream.blocking_write_and_flush(&[]).is_ok() {}
}

probes::proxy! {
    name: "proxy-zero-writes",
    handle: |_, out| write(out),
}
