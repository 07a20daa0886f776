//! Deduplication: of messages that a trigger takes for the same, only the
//! first within a window starts a run; the others get its id.
//!
//! What is remembered is an idempotency key that the trigger chose, kept for
//! the trigger's window and committed with the run.

use std::time::Duration;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_store::{Commit, StoreError, Version};

use crate::Runs;
use crate::accept::NewRun;
use crate::idempotency::{Idempotency, Seen};

/// What makes messages the same to a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// What the trigger's expression gave: of any length, never a storage key by itself.
    pub key: String,
    /// For how long.
    pub window: Duration,
}

/// What becomes of a run to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is made.
    Made,
    /// It is made and remembered, over what was there before.
    First(Idempotency, Option<Version>),
    /// There is one already.
    Earlier(RunId),
    /// One of the same commit, by its place, is enough.
    Same(usize),
}

impl Runs {
    /// Which of these are made.
    pub(crate) async fn turns(&self, runs: &[NewRun], now: Timestamp) -> Result<Vec<Turn>, StoreError> {
        let mut turns: Vec<Turn> = Vec::with_capacity(runs.len());
        for run in runs {
            let Some(key) = key_of(run) else {
                turns.push(Turn::Made);
                continue;
            };
            let same = turns.iter().position(|turn| matches!(turn, Turn::First(first, _) if *first == key));
            turns.push(match same {
                Some(place) => Turn::Same(place),
                None => match key.look_up(&self.shelf, now).await? {
                    Seen::Never(version) => Turn::First(key, version),
                    Seen::Same(accepted) => match accepted.runs.first() {
                        Some(run) => Turn::Earlier(*run),
                        None => Turn::Made,
                    },
                    // The input is made of the key, so this is the same key.
                    Seen::Other => Turn::Made,
                },
            });
        }
        Ok(turns)
    }
}

/// A trigger's key as one that callers give: scoped to the workflow.
fn key_of(run: &NewRun) -> Option<Idempotency> {
    let once = run.once.as_ref()?;
    let digest = Digest::of(once.key.as_bytes());
    Some(Idempotency {
        tenant: run.workflow.tenant.clone(),
        scope: format!("deduplicate/{}", run.workflow.name),
        key: digest.hex(),
        input: digest,
        answer: None,
    })
}

/// The ids of all, in the order asked, from those of the runs that were made.
pub(crate) fn ids_of(turns: &[Turn], made: impl IntoIterator<Item = RunId>) -> Vec<RunId> {
    let mut made = made.into_iter();
    let mut ids: Vec<RunId> = Vec::with_capacity(turns.len());
    for turn in turns {
        let id = match turn {
            Turn::Made | Turn::First(..) => made.next(),
            Turn::Earlier(run) => Some(*run),
            Turn::Same(place) => ids.get(*place).copied(),
        };
        ids.extend(id);
    }
    ids
}

/// Adds to the commit what is remembered of these runs.
pub(crate) fn remember(
    mut commit: Commit,
    runs: &[NewRun],
    turns: &[Turn],
    ids: &[RunId],
    now: Timestamp,
) -> Result<Commit, serde_json::Error> {
    for ((run, turn), id) in runs.iter().zip(turns).zip(ids) {
        if let (Turn::First(key, there), Some(once)) = (turn, &run.once) {
            let window = chrono::TimeDelta::from_std(once.window).unwrap_or(chrono::TimeDelta::MAX);
            let until = now.checked_add_signed(window).unwrap_or(Timestamp::MAX_UTC);
            commit = key.remember(commit, *there, &[*id], until)?;
        }
    }
    Ok(commit)
}
