//! Fails as it is told: the input or body `"retry"` gives `retry`, and so on;
//! `"rate-limited"` asks for 7 seconds.

use probes::CallError;

fn fail(case: &str) -> CallError {
    let text = "as it was told".to_owned();
    match case.trim_matches('"') {
        "invalid-input" => CallError::InvalidInput(text),
        "unauthorized" => CallError::Unauthorized(text),
        "not-found" => CallError::NotFound(text),
        "conflict" => CallError::Conflict(text),
        "rate-limited" => CallError::RateLimited(Some(7_000)),
        "retry" => CallError::Retry(text),
        "permanent" => CallError::Permanent(text),
        _ => CallError::Other(text),
    }
}

probes::connector! {
    name: "errors",
    manifest: "",
    go: |request| Err(fail(&request.input)),
    hook: |request| Err(fail(&String::from_utf8_lossy(&request.body))),
}
