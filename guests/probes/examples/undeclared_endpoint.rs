//! Says that it serves an endpoint that its manifest lacks.
//!
//! - To it: its upload is refused by the endpoint's name.
//! - To nobody else: no package is kept; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: none is reached.

probes::connector! {
    name: "undeclared-endpoint",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || vec![
        probes::endpoint("go", false),
        probes::endpoint("hook", true),
        probes::endpoint("secret-door", false),
    ],
}
