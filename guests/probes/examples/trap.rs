//! Panics with a text that names its input.
//!
//! - To it: it crashes, and its tenant is told what and where.
//! - To nobody else: a stranger learns neither; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: none is reached.

fn fail(input: &str) -> ! {
    panic!("the probe panics, given {input}");
}

probes::connector! {
    name: "trap",
    manifest: "",
    go: |request| fail(&request.input),
    hook: |request| fail(&String::from_utf8_lossy(&request.body)),
}
