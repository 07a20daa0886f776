//! What a caller is told when something is refused: RFC 9457 problem details
//! with a stable `code`.

use serde::{Deserialize, Serialize};

/// The media type of a serialised [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal as a caller sees it. Serialises to the body of RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs: `no-route`, `busy`, `body-too-large`.
    pub code: String,
    /// For people: what, where, and what to do next. No host internals, no secrets.
    pub detail: String,
}

impl Problem {
    /// A problem.
    pub fn new(status: http::StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), code: code.to_owned(), detail: detail.into() }
    }
}
