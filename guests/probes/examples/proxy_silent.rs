//! A web server that takes the request and returns without an answer.

probes::proxy! {
    name: "proxy-silent",
    handle: |_, _| {},
}
