//! Says that it offers one endpoint, whose name has twenty megabytes.
//!
//! - To it: its upload is refused: `describe` gave too much.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: the bytes that one call may hand over.

probes::connector! {
    name: "huge-describe-name",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || vec![probes::endpoint(&"go".repeat(10_000_000), false)],
}
