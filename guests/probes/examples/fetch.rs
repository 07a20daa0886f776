//! Sends the request that it is told to:
//! `{"url", "method"?, "headers"?: {name: value}, "body"?, "timeout-ms"?}`.
//! Gives `{"status", "headers": [[name, value]], "body"}` or `{"error"}`.

use std::time::Duration;

use probes::{Value, json};
use wharf_sdk::http::Request;

fn fetch(wish: &Value) -> Value {
    let text = |key: &str| probes::at(wish, key).as_str();
    let mut request = Request::new(text("method").unwrap_or("GET"), text("url").unwrap_or_default());
    for (name, value) in probes::at(wish, "headers").as_object().into_iter().flatten() {
        request = request.header(name.as_str(), value.as_str().unwrap_or_default());
    }
    if let Some(body) = text("body") {
        request = request.body(body);
    }
    if let Some(ms) = probes::at(wish, "timeout-ms").as_u64() {
        request = request.timeout(Duration::from_millis(ms));
    }
    match request.send() {
        Ok(answer) => {
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name, lossy(value))).collect();
            json!({ "status": answer.status, "headers": headers, "body": lossy(&answer.body) })
        }
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

probes::connector! {
    name: "fetch",
    manifest: "[config.base-url]\nkind = \"url\"\n[grants]\nhttp = [\"{base-url}\"]\n",
    go: |request| Ok(fetch(&probes::parse(&request.input)).to_string()),
    hook: |request| Ok(probes::answer(200, fetch(&probes::parse(&String::from_utf8_lossy(&request.body))).to_string())),
}
