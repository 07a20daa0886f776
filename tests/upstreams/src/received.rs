//! What a system remembers of a request.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was to be said of a request's credential. Never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// The one that the system expects.
    Right,
    /// Another one.
    Wrong,
    /// None at all.
    Missing,
    /// The system asks for none.
    NotAsked,
}

impl Credential {
    /// Compares what came with what is expected.
    pub(crate) fn judge(got: Option<&str>, want: &str) -> Self {
        match got {
            Some(got) if got == want => Self::Right,
            Some(_) => Self::Wrong,
            None => Self::Missing,
        }
    }
}

/// One request and how it was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// `crm`, `mail`, `chat` or `lab`.
    pub system: String,
    /// The method.
    pub method: String,
    /// The path, without the query: the mail API's credential travels there.
    pub path: String,
    /// Whether the credential was right.
    pub credential: Credential,
    /// The `idempotency-key` header.
    pub idempotency_key: Option<String>,
    /// How many requests with this key have come, this one included; 0 without a key.
    pub count: u32,
    /// The body, if it is JSON. Not kept by the laboratory.
    pub body: Option<Value>,
    /// The status of the answer.
    pub status: u16,
    /// The answer was an injected fault.
    pub fault: bool,
}
