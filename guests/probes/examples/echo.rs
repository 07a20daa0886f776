//! Gives back what it gets.

probes::connector! {
    name: "echo",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |request| Ok(probes::answer(200, request.body)),
}
