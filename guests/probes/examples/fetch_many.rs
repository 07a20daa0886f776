//! `{"url", "count"}`: sends so many requests, one after the other. Gives
//! `{"done"}` or, at the first that fails, `{"done", "error"}`.
//!
//! - To it: the request over the bound never leaves; it ends at its outbound requests.
//! - To nobody else: the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: 100 outbound requests, or what its connection says.

use probes::{Value, json};

fn fetch(wish: &Value) -> String {
    let count = probes::at(wish, "count").as_u64().unwrap_or(0);
    for done in 0..count {
        if let Err(error) =
            wharf_sdk::http::Request::get(probes::at(wish, "url").as_str().unwrap_or_default()).send()
        {
            return json!({ "done": done, "error": format!("{error:?}") }).to_string();
        }
    }
    json!({ "done": count }).to_string()
}

probes::connector! {
    name: "fetch-many",
    manifest: "[config.base-url]\nkind = \"url\"\n[grants]\nhttp = [\"{base-url}\"]\n",
    go: |request| Ok(fetch(&probes::parse(&request.input))),
    hook: |_| Ok(probes::messages(0)),
}
