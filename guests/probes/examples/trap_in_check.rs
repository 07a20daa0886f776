//! Panics when its connection is tested.
//!
//! - To it: the test of the connection fails and says what and where.
//! - To nobody else: a stranger learns nothing; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: none is reached.

probes::connector! {
    name: "trap-in-check",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || vec![probes::endpoint("go", false), probes::endpoint("hook", true)],
    check: || panic!("the check panics"),
}
