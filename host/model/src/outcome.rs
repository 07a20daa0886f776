//! How a guest's call ended, and what it used.
//!
//! Whatever a guest does is an [`Outcome`]; an error of the host is an error
//! of the function that made the call, and is never shown to a guest.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A connector's own "no". The case tells the host what to do next; mirrors
/// `call-error` in `wit/deps/wharf-types`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "error", content = "detail")]
pub enum CallError {
    /// The input is not what the endpoint takes.
    #[error("invalid input: {0}")]
    InvalidInput(String),
    /// The outside system refused our credential.
    #[error("unauthorized: {0}")]
    Unauthorized(String),
    /// The thing named does not exist.
    #[error("not found: {0}")]
    NotFound(String),
    /// It clashes with what is there.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Too many requests; the number is milliseconds to wait.
    #[error("rate limited{}", .0.map(|ms| format!(", retry after {ms} ms")).unwrap_or_default())]
    RateLimited(Option<u64>),
    /// A passing failure.
    #[error("temporary failure: {0}")]
    Retry(String),
    /// It will never succeed as asked.
    #[error("permanent failure: {0}")]
    Permanent(String),
    /// Anything else.
    #[error("failure: {0}")]
    Other(String),
}

impl CallError {
    /// The case, as in the API and in filters.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "invalid-input",
            Self::Unauthorized(_) => "unauthorized",
            Self::NotFound(_) => "not-found",
            Self::Conflict(_) => "conflict",
            Self::RateLimited(_) => "rate-limited",
            Self::Retry(_) => "retry",
            Self::Permanent(_) => "permanent",
            Self::Other(_) => "other",
        }
    }

    /// Whether the same call may succeed later: the case alone says it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::Retry(_) => true,
            Self::InvalidInput(_)
            | Self::Unauthorized(_)
            | Self::NotFound(_)
            | Self::Conflict(_)
            | Self::Permanent(_)
            | Self::Other(_) => false,
        }
    }

    /// What the connector said beside the case; empty if the case says it all.
    pub fn text(&self) -> &str {
        match self {
            Self::RateLimited(_) => "",
            Self::InvalidInput(text)
            | Self::Unauthorized(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Retry(text)
            | Self::Permanent(text)
            | Self::Other(text) => text,
        }
    }
}

/// What a call may run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Units of work.
    Fuel,
    /// Milliseconds from start to end.
    WallTime,
    /// Bytes of memories and tables together.
    Memory,
    /// Bytes of the memory of all the tenant's calls together: its quota.
    TenantMemory,
    /// Bytes of the guest's stack.
    Stack,
    /// Bytes across host calls.
    HostCallBytes,
    /// Handles at once.
    Handles,
    /// Outbound requests.
    OutboundCalls,
    /// Bytes of one outbound body.
    BodyBytes,
    /// Bytes of log text.
    LogBytes,
    /// Bytes of the answer.
    OutputBytes,
    /// Milliseconds from a run's acceptance to its end, parked or not.
    Deadline,
}

impl Bound {
    /// The word in the API and in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::WallTime => "wall-time",
            Self::Memory => "memory",
            Self::TenantMemory => "tenant-memory",
            Self::Stack => "stack",
            Self::HostCallBytes => "host-call-bytes",
            Self::Handles => "handles",
            Self::OutboundCalls => "outbound-calls",
            Self::BodyBytes => "body-bytes",
            Self::LogBytes => "log-bytes",
            Self::OutputBytes => "output-bytes",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fuel => "fuel",
            Self::WallTime => "wall-time (ms)",
            Self::Memory => "memory (bytes)",
            Self::TenantMemory => "tenant-memory (bytes, of all its calls)",
            Self::Stack => "stack (bytes)",
            Self::HostCallBytes => "host-call-bytes",
            Self::Handles => "handles",
            Self::OutboundCalls => "outbound-calls",
            Self::BodyBytes => "body-bytes",
            Self::LogBytes => "log-bytes",
            Self::OutputBytes => "output-bytes",
            Self::Deadline => "deadline (ms)",
        })
    }
}

/// Which bound ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("passed its bound on {bound}: the limit is {limit}, it wanted {used}")]
pub struct Exceeded {
    /// The bound.
    pub bound: Bound,
    /// What was allowed, in the bound's unit.
    pub limit: u64,
    /// What was used or asked for when the call was ended.
    pub used: u64,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "value")]
pub enum Outcome<T> {
    /// It gave an answer.
    Answered(T),
    /// It said no, and why.
    Declined(CallError),
    /// It passed a bound.
    Exceeded(Exceeded),
    /// It crashed: the trap in one line, without host internals.
    Trapped(String),
    /// It answered something that is no answer: not JSON, a status of 7.
    BadAnswer(String),
}

impl<T> Outcome<T> {
    /// The kind of failure, as in the API and in filters: the case of what was
    /// declined, the bound that was passed; `None` of an answer.
    pub fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Answered(_) => None,
            Self::Declined(error) => Some(error.kind()),
            Self::Exceeded(exceeded) => Some(exceeded.bound.as_str()),
            Self::Trapped(_) => Some("trapped"),
            Self::BadAnswer(_) => Some("bad-answer"),
        }
    }

    /// The outcome as a caller in the sandbox sees it. A crash of a connector
    /// is permanent for whoever called it; running out of wall time may pass.
    pub fn into_call_result(self) -> Result<T, CallError> {
        match self {
            Self::Answered(value) => Ok(value),
            Self::Declined(error) => Err(error),
            Self::Exceeded(exceeded) if exceeded.bound == Bound::WallTime => {
                Err(CallError::Retry(format!("the connector {exceeded}")))
            }
            Self::Exceeded(exceeded) => Err(CallError::Permanent(format!("the connector {exceeded}"))),
            Self::Trapped(trap) => Err(CallError::Permanent(format!("the connector crashed: {trap}"))),
            Self::BadAnswer(why) => {
                Err(CallError::Permanent(format!("the connector gave a bad answer: {why}")))
            }
        }
    }

    /// The same outcome with the answer turned into something else.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Answered(value) => Outcome::Answered(turn(value)),
            Self::Declined(error) => Outcome::Declined(error),
            Self::Exceeded(exceeded) => Outcome::Exceeded(exceeded),
            Self::Trapped(trap) => Outcome::Trapped(trap),
            Self::BadAnswer(why) => Outcome::BadAnswer(why),
        }
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Usage {
    /// Units of work.
    pub fuel: u64,
    /// Microseconds from start to end.
    pub wall_us: u64,
    /// Microseconds that the guest itself ran: wall time less waiting in the host.
    pub guest_us: u64,
    /// The most bytes that memories and tables had together.
    pub peak_memory: u64,
    /// Calls of the guest into the host.
    pub host_calls: u64,
    /// Bytes across host calls.
    pub host_call_bytes: u64,
    /// Outbound requests.
    pub outbound_calls: u32,
    /// Bytes of log text.
    pub log_bytes: u64,
}

impl Usage {
    /// Adds another call's use; the peak is the greater of the two.
    pub fn add(&mut self, other: &Self) {
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.wall_us = self.wall_us.saturating_add(other.wall_us);
        self.guest_us = self.guest_us.saturating_add(other.guest_us);
        self.peak_memory = self.peak_memory.max(other.peak_memory);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.host_call_bytes = self.host_call_bytes.saturating_add(other.host_call_bytes);
        self.outbound_calls = self.outbound_calls.saturating_add(other.outbound_calls);
        self.log_bytes = self.log_bytes.saturating_add(other.log_bytes);
    }

    /// The wall time.
    pub fn wall(&self) -> Duration {
        Duration::from_micros(self.wall_us)
    }

    /// The time that the guest itself ran.
    pub fn guest(&self) -> Duration {
        Duration::from_micros(self.guest_us)
    }
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the author.
    Debug,
    /// Worth knowing.
    Info,
    /// Odd, but it went on.
    Warn,
    /// It went wrong.
    Error,
}

/// One line that a guest logged, control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogLine {
    /// When.
    pub time: Timestamp,
    /// How loud.
    pub level: Level,
    /// What.
    pub text: String,
}

/// A call that is over: how it ended, what it used, what it logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished<T> {
    /// How it ended.
    pub outcome: Outcome<T>,
    /// What it used.
    pub usage: Usage,
    /// What it logged, oldest first.
    pub log: Vec<LogLine>,
}
