//! Trying a step's call again when it failed in a way that may pass: what a
//! workflow may wish, and what holds for its runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most tries of one step. With pauses that double, twenty are days.
pub const MAX_TRIES: u32 = 20;
/// The most further tries of one run: each is a commit, and a loop that only
/// fails must not fill the store.
pub const MAX_PER_RUN: u32 = 1_000;
/// The longest pause that may be asked for: a day. Whoever wants to wait for
/// longer says so with a sleep.
pub const MAX_PAUSE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The longest deadline: a year, as long as a run is expected to sleep.
pub const MAX_DEADLINE_S: u32 = 366 * 24 * 60 * 60;

/// `retry` of a workflow. What is left out is as in [`Retry::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RetrySpec {
    /// How often a step's call is tried in all; 1 never tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// The longest first pause. It doubles with each try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// No pause is longer, unless the outside system asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_ms: Option<u64>,
    /// How many further tries all steps of a run have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_run: Option<u32>,
}

/// How the calls of a run are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Retry {
    /// How often a step's call is tried in all.
    pub tries: u32,
    /// The longest first pause, in milliseconds. It doubles with each try.
    pub first_ms: u64,
    /// No pause is longer, unless the outside system asks for it.
    pub longest_ms: u64,
    /// How many further tries all steps of a run have together.
    pub per_run: u32,
}

impl Default for Retry {
    /// Four tries within four seconds: enough for a restart or a burst
    /// elsewhere, short enough for somebody who waits for the answer. A hundred
    /// further tries of a run are 25 steps that all fail, or one fan-out.
    fn default() -> Self {
        Self { tries: 4, first_ms: 500, longest_ms: 60_000, per_run: 100 }
    }
}

/// Why a workflow's `retry` or `deadline-s` cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRetry {
    /// A number that is none of those allowed.
    #[error("`{name}` is {is}; it must be {least} to {most}")]
    Range {
        /// The key.
        name: &'static str,
        /// What it is.
        is: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The first pause is longer than the longest.
    #[error("`retry.first-ms` is {first}, more than `retry.longest-ms`, which is {longest}")]
    Order {
        /// The first pause.
        first: u64,
        /// The longest.
        longest: u64,
    },
}

fn within(name: &'static str, is: u64, least: u64, most: u64) -> Result<(), BadRetry> {
    if (least..=most).contains(&is) { Ok(()) } else { Err(BadRetry::Range { name, is, least, most }) }
}

impl RetrySpec {
    /// Sees that every number is one that may be.
    pub fn check(&self) -> Result<(), BadRetry> {
        let Retry { tries, first_ms, longest_ms, per_run } = self.resolve();
        within("retry.tries", tries.into(), 1, MAX_TRIES.into())?;
        within("retry.first-ms", first_ms, 1, MAX_PAUSE_MS)?;
        within("retry.longest-ms", longest_ms, 1, MAX_PAUSE_MS)?;
        within("retry.per-run", per_run.into(), 0, MAX_PER_RUN.into())?;
        if first_ms > longest_ms {
            return Err(BadRetry::Order { first: first_ms, longest: longest_ms });
        }
        Ok(())
    }

    /// What holds for a run.
    pub fn resolve(&self) -> Retry {
        let usual = Retry::default();
        let longest_ms = self.longest_ms.unwrap_or_else(|| usual.longest_ms.max(self.first_ms.unwrap_or(0)));
        Retry {
            tries: self.tries.unwrap_or(usual.tries),
            first_ms: self.first_ms.unwrap_or_else(|| usual.first_ms.min(longest_ms)),
            longest_ms,
            per_run: self.per_run.unwrap_or(usual.per_run),
        }
    }
}

/// Sees that a deadline is one that may be.
pub fn check_deadline(seconds: u32) -> Result<(), BadRetry> {
    within("deadline-s", seconds.into(), 1, MAX_DEADLINE_S.into())
}

impl Retry {
    /// The pause before the next try, after so many have failed: with full
    /// jitter, anything from nothing to twice the most of the one before, so
    /// that those who failed together do not come back together. `chance` is
    /// the run's own. What the outside system asked for comes on top.
    pub fn pause(&self, failed: u32, chance: u64, asked_ms: Option<u64>) -> Duration {
        let most = doubled(self.first_ms, failed).min(self.longest_ms);
        let jitter = chance % most.saturating_add(1);
        Duration::from_millis(asked_ms.unwrap_or(0).saturating_add(jitter))
    }
}

/// How one call is tried, in place of what its workflow's set-up says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnTries {
    /// How often in all.
    pub times: u32,
    /// The longest first pause, in milliseconds. It doubles with each try.
    pub first_ms: u64,
    /// No pause is longer, unless the outside system asks for it.
    pub longest_ms: u64,
}

impl OwnTries {
    /// The nearest that may be.
    #[must_use]
    pub fn within_bounds(self) -> Self {
        Self {
            times: self.times.clamp(1, MAX_TRIES),
            first_ms: self.first_ms.min(MAX_PAUSE_MS),
            longest_ms: self.longest_ms.min(MAX_PAUSE_MS),
        }
    }

    /// The pause before the next try, after so many have failed: between half
    /// of what was written and all of it, so that it is what its author
    /// expects, and no shorter than what the outside system asked for.
    pub fn pause(&self, failed: u32, chance: u64, asked_ms: Option<u64>) -> Duration {
        let most = doubled(self.first_ms, failed).min(self.longest_ms);
        let half = most / 2;
        let pause = most - half + chance % half.saturating_add(1);
        Duration::from_millis(pause.max(asked_ms.unwrap_or(0)))
    }
}

/// A first pause, after so many tries have failed.
fn doubled(first_ms: u64, failed: u32) -> u64 {
    let times = 1_u64.checked_shl(failed.saturating_sub(1)).unwrap_or(u64::MAX);
    first_ms.saturating_mul(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_usual_and_what_cannot_be_names_its_key() {
        assert_eq!(RetrySpec::default().resolve(), Retry::default());
        assert!(RetrySpec::default().check().is_ok());
        let slow = RetrySpec { first_ms: Some(90_000), ..RetrySpec::default() };
        assert_eq!(slow.resolve().longest_ms, 90_000, "the usual longest gives way to the wish");
        let quick = RetrySpec { longest_ms: Some(10), ..RetrySpec::default() };
        assert_eq!(quick.resolve().first_ms, 10);
        for (spec, want) in [
            (RetrySpec { tries: Some(0), ..RetrySpec::default() }, "`retry.tries` is 0; it must be 1 to 20"),
            (RetrySpec { tries: Some(21), ..RetrySpec::default() }, "`retry.tries` is 21"),
            (RetrySpec { first_ms: Some(0), ..RetrySpec::default() }, "`retry.first-ms` is 0"),
            (RetrySpec { longest_ms: Some(MAX_PAUSE_MS + 1), ..RetrySpec::default() }, "`retry.longest-ms`"),
            (RetrySpec { per_run: Some(1_001), ..RetrySpec::default() }, "`retry.per-run` is 1001"),
            (
                RetrySpec { first_ms: Some(9), longest_ms: Some(8), ..RetrySpec::default() },
                "more than `retry.longest-ms`",
            ),
        ] {
            let why = spec.check().unwrap_err().to_string();
            assert!(why.contains(want), "{want}: {why}");
        }
        assert!(check_deadline(0).is_err() && check_deadline(MAX_DEADLINE_S + 1).is_err());
        assert!(check_deadline(1).is_ok());
        assert!(serde_json::from_str::<RetrySpec>(r#"{"trys":1}"#).is_err());
    }

    #[test]
    fn pauses_are_anywhere_up_to_a_bound_that_doubles_and_on_top_of_what_was_asked() {
        let retry = Retry { tries: 20, first_ms: 100, longest_ms: 1_000, per_run: 9 };
        let most: Vec<_> = (1..=6)
            .map(|failed| {
                let pauses = (0..10_000).map(|chance| retry.pause(failed, chance, None).as_millis());
                let (least, most) = pauses.fold((u128::MAX, 0), |(l, m), p| (l.min(p), m.max(p)));
                assert_eq!(least, 0);
                most
            })
            .collect();
        assert_eq!(most, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(retry.pause(u32::MAX, u64::MAX, None).as_millis(), u128::from(u64::MAX % 1_001));
        for chance in 0..200 {
            let pause = retry.pause(1, chance, Some(7_000)).as_millis();
            assert!((7_000..=7_100).contains(&pause), "{pause}");
        }
        assert_eq!(retry.pause(1, 5, Some(u64::MAX)), Duration::from_millis(u64::MAX));
    }

    #[test]
    fn pauses_of_ones_own_are_between_half_of_what_is_written_and_all_of_it() {
        let tries = OwnTries { times: 9, first_ms: 100, longest_ms: 300 };
        for (failed, least, most) in [(1, 50, 100), (2, 100, 200), (3, 150, 300), (u32::MAX, 150, 300)] {
            let pauses = (0..1_000).map(|chance| tries.pause(failed, chance, None).as_millis());
            let (low, high) = pauses.fold((u128::MAX, 0), |(l, m), p| (l.min(p), m.max(p)));
            assert_eq!((low, high), (least, most), "after {failed}");
        }
        assert_eq!(tries.pause(1, 0, Some(7_000)).as_millis(), 7_000);
        assert_eq!(OwnTries { first_ms: 0, ..tries }.pause(3, 7, None), Duration::ZERO);
        let wild = OwnTries { times: 0, first_ms: u64::MAX, longest_ms: u64::MAX }.within_bounds();
        assert_eq!(wild, OwnTries { times: 1, first_ms: MAX_PAUSE_MS, longest_ms: MAX_PAUSE_MS });
        assert_eq!(OwnTries { times: 21, ..wild }.within_bounds().times, MAX_TRIES);
    }
}
