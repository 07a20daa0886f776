//! Trying a step's call again before the workflow hears that it failed.
//!
//! A try that failed is recorded, with when the next one is due, before the
//! host waits for that; so a crash in the middle of the waiting goes on with
//! it, and no try is made more often than it may be.
//!
//! Invariants
//! - What is tried again is decided by the error's case, never by its text.
//! - Every try of a step is made under the same idempotency key.
//! - The pauses follow from the run's seed: the same at every replay.

use std::sync::Arc;
use std::time::Duration;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::outcome::{CallError, Finished, Outcome, Usage};
use host_model::retry::{MAX_PAUSE_MS, OwnTries, Retry};
use host_model::run::{FailedStep, Try};
use serde::{Deserialize, Serialize};

use crate::ask::{Callee, Said, cut};
use crate::attend::{PATIENCE, Waiting, What};
use crate::journal::Core;
use crate::perform::Order;
use crate::record::SAID;

/// How many characters of an error a try keeps: with [`host_model::retry::MAX_TRIES`]
/// of them and their usage a step stays far below what fits a value.
const MAX_WHY: usize = 200;

/// The tries of a step that is not done, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Tries {
    pub(crate) step: u32,
    /// The digest of all that was asked: a replay must ask the same.
    pub(crate) asked: Digest,
    /// What was asked, for people.
    pub(crate) said: String,
    /// The place in the workflow's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    pub(crate) started_at: Timestamp,
    /// When the next one is due.
    pub(crate) due: Timestamp,
    /// What the last one said.
    pub(crate) error: CallError,
    pub(crate) tries: Vec<Try>,
}

impl Tries {
    /// How many there were.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// What the last one said, in one line.
    pub(crate) fn why(&self) -> String {
        self.tries.last().map(|last| last.why.clone()).unwrap_or_default()
    }
}

/// A try that failed, to be written.
pub(crate) struct Tried {
    /// All tries so far, this one last.
    pub(crate) tries: Tries,
    /// What this one used.
    pub(crate) usage: Usage,
}

impl Tries {
    /// The step as the run's record keeps it, if it gets no further.
    pub(crate) fn failed(&self) -> FailedStep {
        FailedStep {
            number: self.step,
            asked: cut(&self.said, SAID),
            kind: self.error.kind().to_owned(),
            place: self.place.clone(),
            tries: self.count(),
        }
    }
}

impl Tried {
    /// About how many bytes it takes in the store.
    pub(crate) fn bytes(&self) -> usize {
        // A try's usage and names are some 300 bytes.
        self.tries.said.len() + self.tries.tries.iter().map(|one| 300 + one.why.len()).sum::<usize>()
    }
}

/// What becomes of a call that ended.
pub(crate) enum Next {
    /// It is the step's answer; of an error that may pass, why it is not tried again.
    Done(Option<String>),
    /// It is tried again.
    Again(Box<Tried>),
}

/// What a call says that may pass; running out of time may, as the workflow is told.
fn passing(outcome: &Outcome<String>) -> Option<CallError> {
    let error = match outcome {
        Outcome::Answered(_) => return None,
        other => other.clone().into_call_result().err()?,
    };
    error.may_pass().then(|| match error {
        CallError::Retry(text) => CallError::Retry(cut(&text, MAX_WHY)),
        error => error,
    })
}

/// A number that follows from the run and the try.
fn chance(seed: &[u8; 32], step: u32, failed: u32) -> u64 {
    let mut all = b"retry".to_vec();
    all.extend_from_slice(seed);
    all.extend_from_slice(&step.to_be_bytes());
    all.extend_from_slice(&failed.to_be_bytes());
    let digest = Digest::of(&all);
    digest.as_bytes().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

impl Core {
    /// Decides about a call that ended by itself; `own` is how it is tried, if
    /// not as the run's steps are.
    pub(crate) fn next(&self, order: &Order, own: Option<OwnTries>, finished: &Finished<String>) -> Next {
        let Some(error) = passing(&finished.outcome) else { return Next::Done(None) };
        let Retry { tries, per_run, longest_ms, .. } = self.retry;
        let (most, rule) = own.map_or((tries, "`retry.tries`"), |own| (own.times, "what its step says"));
        if most <= 1 {
            return Next::Done(None);
        }
        let number = order.number;
        let earlier = self.tried.lock().get(&number).cloned();
        let failed = earlier.as_ref().map_or(0, Tries::count).saturating_add(1);
        let gave_up = |why: String| Next::Done(Some(why));
        if failed >= most {
            return gave_up(format!("it was tried {failed} times, which is {rule}"));
        }
        if self.over.is_cancelled() {
            return gave_up("the workflow ended meanwhile".to_owned());
        }
        let asked_ms = if let CallError::RateLimited(ms) = &error { *ms } else { None };
        let chance = chance(&self.seed, number, failed);
        let pause = match own {
            Some(own) => own.pause(failed, chance, asked_ms),
            None => self.retry.pause(failed, chance, asked_ms),
        };
        // What undoes a run is tried in memory, so not for long.
        let most_ms = match self.undoing {
            true => longest_ms.saturating_add(u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX)),
            false => MAX_PAUSE_MS,
        };
        if pause > Duration::from_millis(most_ms) {
            let ms = pause.as_millis();
            return gave_up(format!(
                "the next try would be in {ms} ms, the host waits for {most_ms} at most"
            ));
        }
        let now = self.clock.now();
        let due = now + pause;
        if self.deadline.is_some_and(|deadline| due >= deadline.at) {
            return gave_up("the next try would be after the run's deadline".to_owned());
        }
        if !self.tail.lock().retry(per_run) {
            return gave_up(format!(
                "the run's steps were tried again {per_run} times, which is `retry.per-run`"
            ));
        }
        let this = Try {
            at: now,
            kind: error.kind().to_owned(),
            why: cut(&error.to_string(), MAX_WHY),
            usage: finished.usage,
        };
        let mut tries = earlier.map(|earlier| earlier.tries).unwrap_or_default();
        tries.push(this);
        let (asked, said) = (order.asked.digest, Said(&order.asked.did).to_string());
        let (place, started_at) = (order.place.clone(), order.started_at);
        let tries = Tries { step: number, asked, said, place, started_at, due, error, tries };
        Next::Again(Box::new(Tried { tries, usage: finished.usage }))
    }

    /// The call is made again later.
    pub(crate) fn try_again(self: &Arc<Self>, order: Order, callee: Callee, tried: Box<Tried>) {
        let due = tried.tries.due;
        {
            let mut tail = self.tail.lock();
            self.tried.lock().insert(order.number, tried.tries.clone());
            tail.tried(tried);
        }
        self.flush_soon();
        self.wait_to(Waiting { order, what: What::Retry(due), callee: Some(callee) });
    }

    /// The tries of a call that a test told, with no pause between.
    pub(crate) fn told(&self, order: &Order, errors: &[CallError]) {
        let Some(error) = errors.last().cloned() else { return };
        let at = self.clock.now();
        let one = |error: &CallError| Try {
            at,
            kind: error.kind().to_owned(),
            why: cut(&error.to_string(), MAX_WHY),
            usage: Usage::default(),
        };
        let tries = Tries {
            step: order.number,
            asked: order.asked.digest,
            said: Said(&order.asked.did).to_string(),
            place: order.place.clone(),
            started_at: order.started_at,
            due: at,
            error,
            tries: errors.iter().map(one).collect(),
        };
        self.tried.lock().insert(order.number, tries);
    }

    /// What is asked again and again by a step that is not done.
    pub(crate) fn tried_so_far(&self, number: u32) -> String {
        self.tried.lock().get(&number).map(|tries| tries.said.clone()).unwrap_or_default()
    }

    /// What the last try of a step said that is not done.
    pub(crate) fn last_error(&self, number: u32) -> Option<CallError> {
        self.tried.lock().get(&number).map(|tries| tries.error.clone())
    }

    /// The tries of a step that is now done, which are part of it.
    pub(crate) fn tries_of(&self, number: u32) -> Vec<Try> {
        self.tried.lock().remove(&number).map(|tries| tries.tries).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use host_model::outcome::{Bound, Exceeded};

    use super::*;

    #[test]
    fn only_the_case_of_an_error_says_whether_it_may_pass() {
        let text = || "429 retry please, timeout, temporary".to_owned();
        let exceeded = |bound| Outcome::Exceeded(Exceeded { bound, limit: 1, used: 2 });
        for (outcome, want) in [
            (Outcome::Answered(text()), None),
            (Outcome::Declined(CallError::InvalidInput(text())), None),
            (Outcome::Declined(CallError::Unauthorized(text())), None),
            (Outcome::Declined(CallError::NotFound(text())), None),
            (Outcome::Declined(CallError::Conflict(text())), None),
            (Outcome::Declined(CallError::RateLimited(None)), Some("rate-limited")),
            (Outcome::Declined(CallError::RateLimited(Some(7))), Some("rate-limited")),
            (Outcome::Declined(CallError::Retry("permanent".to_owned())), Some("retry")),
            (Outcome::Declined(CallError::Permanent(text())), None),
            (Outcome::Declined(CallError::Other(text())), None),
            (exceeded(Bound::WallTime), Some("retry")),
            (exceeded(Bound::Fuel), None),
            (exceeded(Bound::Memory), None),
            (Outcome::Trapped(text()), None),
            (Outcome::BadAnswer(text()), None),
        ] {
            assert_eq!(passing(&outcome).as_ref().map(CallError::kind), want, "{outcome:?}");
        }
    }

    #[test]
    fn chance_is_the_runs_own_and_differs_with_step_and_try() {
        let seed = [7; 32];
        assert_eq!(chance(&seed, 1, 1), chance(&seed, 1, 1));
        let all = [chance(&seed, 1, 1), chance(&seed, 1, 2), chance(&seed, 2, 1), chance(&[8; 32], 1, 1)];
        assert_eq!(std::collections::BTreeSet::from(all).len(), 4);
    }
}
