//! Panics when it is asked what it offers.
//!
//! - To it: its upload is refused: `describe` crashed.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: none is reached.

probes::connector! {
    name: "trap-in-describe",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || panic!("no description"),
}
