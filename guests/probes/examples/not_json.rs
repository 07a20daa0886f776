//! `go` gives a text that is no JSON.

probes::connector! {
    name: "not-json",
    manifest: "",
    go: |_| Ok("{\"almost\": ".to_owned()),
    hook: |_| Ok(probes::messages(0)),
}
