//! Never ends when it is asked what it offers.
//!
//! - To it: its upload is refused: `describe` did not answer.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: the fuel of a `describe`.

probes::connector! {
    name: "loop-in-describe",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || loop {
        std::hint::black_box(0);
    },
}
