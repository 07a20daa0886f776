//! `hook` emits a message whose data is no JSON, after one that is fine.
//!
//! - To it: none of its messages starts anything: a 502, and the operator reads why.
//! - To nobody else: no workflow runs; the bystander is answered, and the host's memory
//!   returns to its base line.
//! - Bounds: none is reached.

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
