//! Which runs somebody looks for: one filter for the list, the API, the CLI
//! and for whatever is done to all that match.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::name::{ConnectionName, WorkflowName};
use crate::run::RunStatus;
use crate::suggest::nearest;

/// The most business keys of one run, and so of one filter; said in `wit/`.
pub const MAX_KEYS: usize = 4;

/// Every word that [`Filter::error`] may be: the case of what was declined,
/// the bound that was passed, or how else a run came to its end.
pub const ERRORS: [&str; 23] = [
    "invalid-input",
    "unauthorized",
    "not-found",
    "conflict",
    "rate-limited",
    "retry",
    "permanent",
    "other",
    "fuel",
    "wall-time",
    "memory",
    "stack",
    "host-call-bytes",
    "handles",
    "outbound-calls",
    "body-bytes",
    "log-bytes",
    "output-bytes",
    "deadline",
    "tenant-memory",
    "trapped",
    "bad-answer",
    "diverged",
];

/// Which runs; everything by default. A run matches if all that is set does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only runs of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Only runs that stand there.
    pub status: Option<RunStatus>,
    /// Only runs accepted then or later, to the millisecond.
    pub since: Option<Timestamp>,
    /// Only runs accepted before then.
    pub until: Option<Timestamp>,
    /// Only runs that failed like this: one of [`ERRORS`].
    pub error: Option<String>,
    /// Only runs that this connection started or that called it.
    pub connection: Option<ConnectionName>,
    /// Only runs that set these business keys to these values.
    pub keys: BTreeMap<String, String>,
}

/// Why a filter is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// No run fails like that.
    #[error("`error` is `{is}`, which no run fails with{}", hint(.near, .is))]
    Error {
        /// What was written.
        is: String,
        /// The nearest that there is.
        near: Option<String>,
    },
    /// Not a name and a value.
    #[error("`key` is `{0}`; write its name, a colon and the value, like `customer:4711`")]
    Key(String),
    /// One name with two values.
    #[error("`key` has two values for `{0}`; a run has one value of each key, so ask for them one by one")]
    Twice(String),
    /// More than a run has.
    #[error("{0} keys are asked for; a run has at most {MAX_KEYS}")]
    Keys(usize),
    /// Nothing is in it.
    #[error("`since` is not before `until`, so no run can match; swap or change them")]
    Range,
}

fn hint(near: &Option<String>, is: &str) -> String {
    match near {
        Some(near) if near != is => format!(" (did you mean `{near}`?)"),
        _ => format!("; it is one of {}", ERRORS.join(", ")),
    }
}

impl Filter {
    /// Adds a business key, written `name:value`.
    pub fn add_key(&mut self, text: &str) -> Result<(), BadFilter> {
        let bad = || BadFilter::Key(text.chars().take(80).collect());
        let (name, value) = text.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
        match self.keys.insert(name.to_owned(), value.to_owned()) {
            Some(before) if before != value => Err(BadFilter::Twice(name.to_owned())),
            _ => Ok(()),
        }
    }

    /// Refuses what can never match, with a word about what to write instead.
    pub fn check(&self) -> Result<(), BadFilter> {
        if let Some(error) = self.error.as_deref().filter(|error| !ERRORS.contains(error)) {
            let is: String = error.chars().take(80).collect();
            let near = nearest(&is, ERRORS).map(str::to_owned);
            return Err(BadFilter::Error { is, near });
        }
        if self.keys.len() > MAX_KEYS {
            return Err(BadFilter::Keys(self.keys.len()));
        }
        match (self.since, self.until) {
            (Some(since), Some(until)) if since >= until => Err(BadFilter::Range),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Bound, CallError, Exceeded, Outcome};

    #[test]
    fn every_way_to_fail_can_be_asked_for() {
        let text = String::new;
        let declined = [
            CallError::InvalidInput(text()),
            CallError::Unauthorized(text()),
            CallError::NotFound(text()),
            CallError::Conflict(text()),
            CallError::RateLimited(None),
            CallError::Retry(text()),
            CallError::Permanent(text()),
            CallError::Other(text()),
        ];
        let bounds = [
            Bound::Fuel,
            Bound::WallTime,
            Bound::Memory,
            Bound::Stack,
            Bound::HostCallBytes,
            Bound::Handles,
            Bound::OutboundCalls,
            Bound::BodyBytes,
            Bound::LogBytes,
            Bound::OutputBytes,
            Bound::Deadline,
            Bound::TenantMemory,
        ];
        let exceeded = bounds.map(|bound| Outcome::Exceeded(Exceeded { bound, limit: 1, used: 2 }));
        let all = declined.map(Outcome::<()>::Declined).into_iter().chain(exceeded);
        let all = all.chain([Outcome::Trapped(text()), Outcome::BadAnswer(text())]);
        let words: Vec<_> = all.filter_map(|outcome| outcome.failure()).chain(["diverged"]).collect();
        assert_eq!(words, ERRORS);
    }

    #[test]
    fn a_filter_that_cannot_match_says_what_to_write() {
        let error = |word: &str| Filter { error: Some(word.to_owned()), ..Filter::default() }.check();
        assert_eq!(error("wall-time"), Ok(()));
        let said = error("wal-time").unwrap_err().to_string();
        assert!(said.ends_with("(did you mean `wall-time`?)"), "{said}");
        assert!(error("xyzzy-xyzzy").unwrap_err().to_string().contains("one of invalid-input, "));

        let mut filter = Filter::default();
        assert_eq!(filter.add_key("customer:47:11"), Ok(()));
        assert_eq!(filter.keys["customer"], "47:11", "only the first colon divides");
        assert!(filter.add_key("customer").unwrap_err().to_string().contains("`customer:4711`"));
        assert!(filter.add_key(":4711").is_err());
        assert_eq!(filter.add_key("customer:47:11"), Ok(()), "the same again");
        assert_eq!(filter.add_key("customer:2"), Err(BadFilter::Twice("customer".to_owned())));
        for n in 0..MAX_KEYS {
            filter.add_key(&format!("key-{n}:1")).unwrap();
        }
        assert_eq!(filter.check(), Err(BadFilter::Keys(5)));

        let at = |ms| chrono::DateTime::from_timestamp_millis(ms);
        let range = |since, until| Filter { since: at(since), until: at(until), ..Filter::default() }.check();
        assert_eq!((range(1, 2), range(2, 2)), (Ok(()), Err(BadFilter::Range)));
    }
}
