//! `hook` reads a JSON lead of 1 KB, renames its fields and answers with it;
//! no message. What `make bench` measures; the native twin is in `tests/bench`.

use serde::{Deserialize, Serialize};

/// Reads the one spelling, writes the other.
#[derive(Deserialize, Serialize)]
struct Lead {
    #[serde(rename(deserialize = "full_name", serialize = "name"))]
    name: String,
    #[serde(rename(deserialize = "email_address", serialize = "email"))]
    email: String,
    #[serde(rename(deserialize = "phone_number", serialize = "phone"))]
    phone: Option<String>,
    #[serde(rename(deserialize = "organisation", serialize = "company"))]
    company: Option<String>,
    #[serde(rename(deserialize = "area", serialize = "region"))]
    region: String,
    #[serde(rename(deserialize = "comment", serialize = "message"))]
    message: String,
    #[serde(rename(deserialize = "campaign", serialize = "source"))]
    source: String,
}

fn transform(body: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&serde_json::from_slice::<Lead>(body)?)
}

probes::connector! {
    name: "lead-transform",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |request| match transform(&request.body) {
        Ok(body) => Ok(probes::answer(200, body)),
        Err(error) => Err(probes::CallError::InvalidInput(error.to_string())),
    },
}
