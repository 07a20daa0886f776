//! Emits 101 messages, one more than a request may start.
//!
//! - To it: none of its messages starts anything: a 502, and the operator reads why.
//! - To nobody else: no workflow runs; the bystander is answered, and the host's memory
//!   returns to its base line.
//! - Bounds: 100 messages a request.

probes::connector! {
    name: "too-many-messages",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(101)),
}
