//! Panics when it is asked what it offers.

probes::connector! {
    name: "trap-in-describe",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(0)),
    describe: || panic!("no description"),
}
