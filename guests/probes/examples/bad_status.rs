//! `hook` answers with a status that no HTTP answer has.
//!
//! - To it: its answer is none: a 502, and the operator reads why.
//! - To nobody else: a stranger learns nothing of the connector; the bystander is
//!   answered, and the host's memory returns to its base line.
//! - Bounds: statuses from 200 to 599.

probes::connector! {
    name: "bad-status",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::answer(7, "seven")),
}
