//! Why a call did not do what it was asked.

use std::fmt;
use std::time::Duration;

use crate::bindings::connector::wharf::types::types::CallError;

/// Why a call did not do what it was asked. The case tells the host what to do
/// next; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The input is not what the endpoint takes. Never retried.
    InvalidInput(String),
    /// The outside system refused our credential. Not retried.
    Unauthorized(String),
    /// The thing named does not exist over there. Not retried.
    NotFound(String),
    /// It clashes with what is there. Not retried.
    Conflict(String),
    /// Too many requests; try again after so long, or when the host thinks fit.
    RateLimited(Option<Duration>),
    /// A passing failure: the same call may succeed later.
    Retry(String),
    /// It will never succeed as asked. Not retried.
    Permanent(String),
    /// Anything else, treated as permanent.
    Other(String),
}

impl Error {
    /// The input is not what the endpoint takes.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::InvalidInput(text.into())
    }

    /// It will never succeed as asked.
    pub fn permanent(text: impl Into<String>) -> Self {
        Self::Permanent(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (case, text) = match self {
            Self::InvalidInput(text) => ("invalid input", text),
            Self::Unauthorized(text) => ("unauthorized", text),
            Self::NotFound(text) => ("not found", text),
            Self::Conflict(text) => ("conflict", text),
            Self::RateLimited(None) => return f.write_str("rate limited"),
            Self::RateLimited(Some(wait)) => {
                return write!(f, "rate limited: try again in {} ms", wait.as_millis());
            }
            Self::Retry(text) => ("may succeed later", text),
            Self::Permanent(text) => ("failed", text),
            Self::Other(text) => ("failed otherwise", text),
        };
        write!(f, "{case}: {text}")
    }
}

impl std::error::Error for Error {}

/// What came in is not the JSON that the endpoint takes.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::InvalidInput(error.to_string())
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::InvalidInput(text) => Self::InvalidInput(text),
            CallError::Unauthorized(text) => Self::Unauthorized(text),
            CallError::NotFound(text) => Self::NotFound(text),
            CallError::Conflict(text) => Self::Conflict(text),
            CallError::RateLimited(wait) => Self::RateLimited(wait.map(Duration::from_millis)),
            CallError::Retry(text) => Self::Retry(text),
            CallError::Permanent(text) => Self::Permanent(text),
            CallError::Other(text) => Self::Other(text),
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidInput(text) => Self::InvalidInput(text),
            Error::Unauthorized(text) => Self::Unauthorized(text),
            Error::NotFound(text) => Self::NotFound(text),
            Error::Conflict(text) => Self::Conflict(text),
            Error::RateLimited(wait) => Self::RateLimited(wait.map(crate::clock::whole_ms)),
            Error::Retry(text) => Self::Retry(text),
            Error::Permanent(text) => Self::Permanent(text),
            Error::Other(text) => Self::Other(text),
        }
    }
}
