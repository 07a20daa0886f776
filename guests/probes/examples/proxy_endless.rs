//! A web server whose answer never ends.

fn pour(out: probes::proxy::ResponseOutparam) {
    let Some(body) = probes::proxy::head(out) else { return };
    let Ok(stream) = body.write() else { return };
    while stream.blocking_write_and_flush(&[b'x'; 4_096]).is_ok() {}
}

probes::proxy! {
    name: "proxy-endless",
    handle: |_, out| pour(out),
}
