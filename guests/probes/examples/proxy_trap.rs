//! A web server that sends the head and a part of the body, then panics.

probes::proxy! {
    name: "proxy-trap",
    handle: |_, out| {
        let stream = probes::proxy::head(out).and_then(|body| body.write().ok());
        let _ = stream.map(|stream| stream.blocking_write_and_flush(b"the first half"));
        panic!("the probe panics in the middle of its answer");
    },
}
