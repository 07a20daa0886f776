//! `hook` answers with a status that no HTTP answer has.

probes::connector! {
    name: "bad-status",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::answer(7, "seven")),
}
