//! Returns a list that has no measure: 200,000 messages.
//!
//! - To it: the call ends at the bytes of an answer.
//! - To nobody else: none of the messages starts a run; the bystander is answered, and
//!   the host's memory returns to its base line.
//! - Bounds: 1 MiB of answer.

probes::connector! {
    name: "huge-list",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(200_000)),
}
