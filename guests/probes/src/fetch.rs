//! One request as a JSON wish, for the probes that send what they are told to.

use std::time::Duration;

use wharf_sdk::http::Request;

use crate::{Value, at, json};

/// Sends `{"url", "method"?, "headers"?: {name: value}, "body"?, "timeout-ms"?}`.
/// Gives `{"status", "headers": [[name, value]], "body"}` or `{"error"}`.
pub fn fetch(wish: &Value) -> Value {
    let text = |key: &str| at(wish, key).as_str();
    let mut request = Request::new(text("method").unwrap_or("GET"), text("url").unwrap_or_default());
    for (name, value) in at(wish, "headers").as_object().into_iter().flatten() {
        request = request.header(name.as_str(), value.as_str().unwrap_or_default());
    }
    if let Some(body) = text("body") {
        request = request.body(body);
    }
    if let Some(ms) = at(wish, "timeout-ms").as_u64() {
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
