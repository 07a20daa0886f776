//! A web server that sends the head and a part of the body, then panics.
//!
//! - To it: its answer breaks off and does not look whole.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: none is reached.

probes::proxy! {
    name: "proxy-trap",
    handle: |_, out| {
        let body = probes::proxy::head(out); // kept: a body that is dropped is a body that was given up
        let stream = body.as_ref().and_then(|body| body.write().ok());
        let _ = stream.map(|stream| stream.blocking_write_and_flush(b"the first half"));
        panic!("the probe panics in the middle of its answer");
    },
}
