//! `go` gives a text that is no JSON.
//!
//! - To it: its answer is a bad answer.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: none is reached.

probes::connector! {
    name: "not-json",
    manifest: "",
    go: |_| Ok("{\"almost\": ".to_owned()),
    hook: |_| Ok(probes::messages(0)),
}
