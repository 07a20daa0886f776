//! The message that travels between endpoints, shaped like a CloudEvent
//! (CloudEvents 1.0: id, source, type, subject, time, data).

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::MessageId;

/// The most bytes that a message's data may have: what a form or webhook
/// carries, far below what would crowd the store.
pub const MAX_DATA: usize = 1 << 20;
/// The most bytes of a message's kind.
pub const MAX_KIND: usize = 128;
/// The most bytes of a message's subject.
pub const MAX_SUBJECT: usize = 256;

/// What a connector emits, before the host adds id, source and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What kind of thing it tells: `lead`.
    pub kind: String,
    /// The business object it is about.
    pub subject: Option<String>,
    /// One JSON text.
    pub data: String,
}

/// Why a draft is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDraft {
    /// The kind is empty, too long or has control characters.
    #[error("message kind must have 1 to {MAX_KIND} bytes without control characters")]
    Kind,
    /// The subject is too long or has control characters.
    #[error("message subject must have at most {MAX_SUBJECT} bytes without control characters")]
    Subject,
    /// The data is too long.
    #[error("message data has {0} bytes, the limit is {MAX_DATA}")]
    TooLarge(usize),
    /// The data is not one JSON text.
    #[error("message data is not JSON: {0}")]
    NotJson(String),
}

impl Draft {
    /// Checks sizes and that the data is JSON. A guest made it: nothing about it is believed.
    pub fn check(&self) -> Result<(), BadDraft> {
        let plain = |text: &str, most| text.len() <= most && !text.chars().any(char::is_control);
        if self.kind.is_empty() || !plain(&self.kind, MAX_KIND) {
            return Err(BadDraft::Kind);
        }
        if self.subject.as_deref().is_some_and(|subject| !plain(subject, MAX_SUBJECT)) {
            return Err(BadDraft::Subject);
        }
        if self.data.len() > MAX_DATA {
            return Err(BadDraft::TooLarge(self.data.len()));
        }
        match serde_json::from_str::<serde::de::IgnoredAny>(&self.data) {
            Ok(_) => Ok(()),
            Err(error) => Err(BadDraft::NotJson(error.to_string())),
        }
    }
}

/// A message, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message {
    /// Unique.
    pub id: MessageId,
    /// Where it came from: `/connections/{name}`, `/schedules/{name}`, `/run`.
    pub source: String,
    /// What kind of thing it tells.
    pub kind: String,
    /// The business object it is about.
    pub subject: Option<String>,
    /// When the host accepted it.
    pub time: Timestamp,
    /// One JSON text.
    pub data: String,
}
