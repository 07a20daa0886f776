//! Gives every text that its world offers and the answers of `/echo`, also in
//! pieces. Its connection signs requests and brings an access token: neither
//! key, secret nor token may be in there.
//!
//! - To it: it runs to its end and finds none of its credentials.
//! - To nobody else: nobody reads another's texts, and no credential is on the disk;
//!   the bystander is answered, and the host's memory returns to its base line.
//! - Bounds: none is reached.

use probes::json;
use wharf_sdk::{connection, http, log};

fn dump(asked: &str) -> String {
    let base = connection::field("base-url").unwrap_or_default();
    let guesses: Vec<_> = ["signing-key", "login", "token"].map(connection::field).to_vec();
    let echo = |path: &str| {
        let answer = http::Request::post(format!("{base}{path}")).body("a body").send();
        format!(
            "{:?}",
            answer.map(|answer| (answer.headers.clone(), String::from_utf8_lossy(&answer.body).into_owned()))
        )
    };
    let (whole, pieces) = (echo("/echo"), echo("/echo?chunk=3"));
    log::info!("{whole}");
    json!({ "asked": asked, "all": connection::all(), "guesses": guesses, "whole": whole, "pieces": pieces })
        .to_string()
}

probes::connector! {
    name: "dump-signed",
    manifest: "[config]\nbase-url = { kind = \"url\" }\n[grants]\nhttp = [\"{base-url}\"]\n\
        [credentials.signing-key]\nhosts = [\"{base-url}\"]\n\
        place = { hmac = { message = \"{timestamp}.{method}.{path}.{body}\", header = \"x-signature\", timestamp-header = \"x-time\" } }\n\
        [credentials.login]\nhosts = [\"{base-url}\"]\n\
        place = { oauth2 = { flow = \"client-credentials\", token-url = \"{base-url}/token\", client-id = \"robot\" } }\n",
    go: |request| Ok(dump(&format!("{request:?}"))),
    hook: |request| Ok(probes::answer(200, dump(&format!("{request:?}")))),
}
