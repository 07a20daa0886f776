//! Emits 101 messages, one more than a request may start.

probes::connector! {
    name: "too-many-messages",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(probes::messages(101)),
}
