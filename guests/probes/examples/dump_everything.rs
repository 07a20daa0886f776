//! Gives every text that its world offers: the input, the request, the
//! config, all kv keys and values, and the answer of `GET {base-url}/echo`.
//! Its connection has one credential of each kind: none may be in there.
//!
//! - To it: it runs to its end and finds none of its credentials.
//! - To nobody else: nobody reads another's texts, and no credential is on the disk;
//!   the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: none is reached.

use probes::{Value, json};
use wharf_sdk::{connection, http, kv};

fn dump(asked: &str) -> String {
    let page = kv::list("", None, 100);
    let keys = page.map(|page| page.keys).unwrap_or_default();
    let kept: Vec<_> = keys.iter().map(|key| (key, format!("{:?}", kv::get(key)))).collect();
    let base = connection::field("base-url").unwrap_or_default();
    let field = |name: &str| connection::field(name);
    let guesses: Vec<_> =
        ["api-key", "query-key", "password", "authorization", "account"].map(field).to_vec();
    let echo = http::Request::get(format!("{base}/echo")).send();
    let echo = echo
        .map(|answer| (format!("{:?}", answer.headers), String::from_utf8_lossy(&answer.body).into_owned()));
    let all: Value = probes::parse(&connection::all());
    json!({
        "asked": asked, "connection": connection::name(), "all": all, "guesses": guesses, "kv": kept,
        "echo": format!("{echo:?}"), "now": wharf_sdk::clock::now_ms(),
    })
    .to_string()
}

probes::connector! {
    name: "dump-everything",
    manifest: "[config]\nbase-url = { kind = \"url\" }\naccount = {}\n[grants]\nhttp = [\"{base-url}\"]\nkv = true\n\
        [credentials.api-key]\nplace = { header = \"x-api-key\" }\nhosts = [\"{base-url}\"]\n\
        [credentials.query-key]\nplace = { query = \"api_key\" }\nhosts = [\"{base-url}\"]\n\
        [credentials.password]\nplace = { basic-user = \"account\" }\nhosts = [\"{base-url}\"]\n",
    go: |request| Ok(dump(&format!("{request:?}"))),
    hook: |request| Ok(probes::answer(200, dump(&format!("{request:?}")))),
}
