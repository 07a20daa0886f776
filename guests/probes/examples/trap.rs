//! Panics with a text that names its input.

fn fail(input: &str) -> ! {
    panic!("the probe panics, given {input}");
}

probes::connector! {
    name: "trap",
    manifest: "",
    go: |request| fail(&request.input),
    hook: |request| fail(&String::from_utf8_lossy(&request.body)),
}
