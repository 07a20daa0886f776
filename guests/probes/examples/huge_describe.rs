//! Says that it offers half a million endpoints.
//!
//! - To it: its upload is refused: `describe` gave too much.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: the bytes that one call may hand over.

probes::connector! {
    name: "huge-describe",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || (0..500_000).map(|_| probes::endpoint("go", false)).collect(),
}
