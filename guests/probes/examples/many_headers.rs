//! Answers with as many headers as the request's body says, each of 100 bytes.
//!
//! - To it: an answer with more than a head may have is no answer.
//! - To nobody else: the caller gets a 502 and no half of a head; the bystander is
//!   answered, and the host's memory returns to its base line.
//! - Bounds: 1 MiB of answer; the most headers of an answer.

use probes::{Answer, Header, Received};

fn headers(body: &[u8]) -> Received {
    let count: usize = String::from_utf8_lossy(body).trim().parse().unwrap_or_default();
    let header = |n| Header { name: format!("x-{n}"), value: vec![b'x'; 100] };
    let headers = (0..count).map(header).collect();
    Received { messages: Vec::new(), answer: Some(Answer { status: 200, headers, body: Vec::new() }) }
}

probes::connector! {
    name: "many-headers",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |request| Ok(headers(&request.body)),
}
