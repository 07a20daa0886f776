//! Why a workflow ends before its last step.

use std::fmt;
use std::time::Duration;

use host_flow::{BadValue, Flow, Kind, Step, Val, What};
use wharf_sdk::Error;

/// Why a block of steps ends before its last.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// A step failed.
    Failed(Box<Failure>),
    /// The run is over, well: a step `stop` said so, here or in a branch beside.
    Stopped,
}

/// A step that failed, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    /// The step's id, or what it does.
    pub(crate) step: String,
    /// What `rate-limited` says.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Failure {
    /// Of a step.
    pub(crate) fn new(flow: &Flow, step: &Step, kind: Kind, message: impl Into<String>) -> Self {
        let (file, line, message) = (flow.file.clone(), step.line, message.into());
        Self { kind, message, file, line, step: label(step), retry_after_ms: None }
    }

    /// Of a step whose call, event or other effect failed.
    pub(crate) fn effect(flow: &Flow, step: &Step, error: Error) -> Self {
        let (kind, message, wait) = match error {
            Error::InvalidInput(text) => (Kind::InvalidInput, text, None),
            Error::Unauthorized(text) => (Kind::Unauthorized, text, None),
            Error::NotFound(text) => (Kind::NotFound, text, None),
            Error::Conflict(text) => (Kind::Conflict, text, None),
            Error::RateLimited(wait) => (Kind::RateLimited, "too many requests".to_owned(), wait),
            Error::Retry(text) => (Kind::Retry, text, None),
            Error::Permanent(text) => (Kind::Permanent, text, None),
            Error::Other(text) => (Kind::Other, text, None),
        };
        let retry_after_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        Self { retry_after_ms, ..Self::new(flow, step, kind, message) }
    }

    /// Of an expression, which has a place of its own.
    pub(crate) fn expression(flow: &Flow, step: String, bad: &BadValue) -> Self {
        let (file, message) = (flow.file.clone(), bad.to_string());
        Self { kind: Kind::Permanent, message, file, line: bad.line, step, retry_after_ms: None }
    }

    /// As `$error`.
    pub(crate) fn value(&self) -> Val {
        let text = |text: &str| Val::from(text.to_owned());
        let entries = [
            ("kind", text(self.kind.as_str())),
            ("message", text(&self.message)),
            ("step", text(&self.step)),
            ("file", text(&self.file)),
            ("line", Val::from(self.line as usize)),
        ];
        Val::obj(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
    }
}

/// A step's id, or what it does.
pub(crate) fn label(step: &Step) -> String {
    match (&step.id, &step.what) {
        (Some(id), _) => id.clone(),
        (None, What::Call { call, .. }) => format!("{}.{}", call.connection, call.endpoint),
        (None, what) => word(what).to_owned(),
    }
}

/// What a step does, as it is written.
pub(crate) fn word(what: &What) -> &'static str {
    match what {
        What::Call { .. } => "call",
        What::Map(_) => "map",
        What::If { .. } => "if",
        What::Switch { .. } => "switch",
        What::ForEach { .. } => "for-each",
        What::Parallel(_) => "parallel",
        What::Try { .. } => "try",
        What::Retry { .. } => "retry",
        What::SleepFor(_) | What::SleepUntil(_) => "sleep",
        What::WaitFor { .. } => "wait-for",
        What::Workflow { .. } => "workflow",
        What::Publish { .. } => "publish",
        What::Set { .. } => "set",
        What::Reply(_) => "reply",
        What::Fail { .. } => "fail",
        What::Stop(_) => "stop",
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file.is_empty() { "line " } else { self.file.as_str() };
        let colon = if self.file.is_empty() { "" } else { ":" };
        write!(f, "{file}{colon}{}: step `{}`: {}", self.line, self.step, self.message)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure.kind {
            Kind::InvalidInput => Self::InvalidInput(text),
            Kind::Unauthorized => Self::Unauthorized(text),
            Kind::NotFound => Self::NotFound(text),
            Kind::Conflict => Self::Conflict(text),
            Kind::RateLimited => Self::RateLimited(failure.retry_after_ms.map(Duration::from_millis)),
            Kind::Retry => Self::Retry(text),
            Kind::Permanent => Self::Permanent(text),
            Kind::Other => Self::Other(text),
        }
    }
}
