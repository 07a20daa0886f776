//! Emits one message and has an answer of its own besides.

use probes::{Received, answer, messages};

probes::connector! {
    name: "emit-and-answer",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |_| Ok(Received { messages: messages(1).messages, ..answer(201, "emitted") }),
}
