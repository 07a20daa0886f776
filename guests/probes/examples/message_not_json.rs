//! `hook` emits a message whose data is no JSON, after one that is fine.

fn spoilt() -> probes::Received {
    let mut received = probes::messages(2);
    if let Some(last) = received.messages.last_mut() {
        last.data = "{\"almost\": ".to_owned();
    }
    received
}

probes::connector! {
    name: "message-not-json",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(spoilt()),
}
