//! Says that it serves an endpoint that its manifest lacks.

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
