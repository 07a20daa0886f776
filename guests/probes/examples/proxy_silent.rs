//! A web server that takes the request and returns without an answer.
//!
//! - To it: it is a connector that failed: a 502, and the operator reads why.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: none is reached.

probes::proxy! {
    name: "proxy-silent",
    handle: |_, _| {},
}
