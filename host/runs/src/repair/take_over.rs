//! Which steps of a journal a replay takes over, and the copy of them.
//!
//! The order in which they completed is kept, without the gaps: the workflow
//! sees who came first as it saw it then.

use std::collections::BTreeMap;

use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::Outcome;
use host_model::run::RunStatus;
use host_store::port::MAX_COMMIT;
use host_store::{Commit, StoreError};

use super::decide::RunStatusWord;
use super::replay::{From, Replay, ReplayError};
use crate::record::{Did, Payload, Record, Replied, StepRecord};
use crate::shelf::PAGE;
use crate::{Runs, keys};

/// A commit of them takes no further step when it has so many changes, a quarter of
/// what the store takes, or so many bytes of texts.
const CHUNK: usize = MAX_COMMIT / 4;
const CHUNK_BYTES: usize = 4 << 20;

/// Steps that were taken over.
pub(crate) struct TakenOver {
    /// How many.
    pub(crate) steps: u32,
    /// The business keys that they set.
    pub(crate) keys: BTreeMap<String, String>,
    /// They replied to whoever waited.
    pub(crate) replied: bool,
    /// What is left to commit, with the run itself.
    pub(crate) rest: Commit,
    /// Some are committed already: of a journal that does not fit one commit.
    early: bool,
}

/// What is known of a step without its texts.
struct Line {
    number: u32,
    completed: u32,
    failed: bool,
    started_at: host_model::clock::Timestamp,
    finished_at: host_model::clock::Timestamp,
}

impl Runs {
    /// The first step that the replay does anew.
    pub(super) async fn first_anew(&self, old: &Record, replay: &Replay) -> Result<u32, ReplayError> {
        if replay.from == From::Start && !replay.dry {
            return Ok(0);
        }
        let lines = self.lines(&old.tenant, old.id).await?;
        let beyond = lines.last().map_or(0, |line| line.number + 1);
        match replay.from {
            From::Step(step) if lines.iter().all(|line| line.number != step) => {
                let there = match lines.as_slice() {
                    [] => "it has none".to_owned(),
                    _ => format!("its steps have the numbers up to {}", beyond - 1),
                };
                Err(ReplayError::NoSuchStep { run: old.id, step, there })
            }
            From::Failed if failed(&lines, old.status).is_none() => {
                Err(ReplayError::NoFailedStep { run: old.id, status: RunStatusWord(old.status) })
            }
            _ if replay.dry => Ok(beyond),
            From::Start => Ok(0),
            From::Step(step) => Ok(step),
            From::Failed => Ok(failed(&lines, old.status).unwrap_or(beyond)),
        }
    }

    async fn lines(&self, tenant: &TenantId, run: RunId) -> Result<Vec<Line>, StoreError> {
        let line = |step: &StepRecord, outcome| {
            Some(Line {
                number: step.number,
                completed: step.completed,
                failed: !matches!(outcome, Outcome::Answered(_)),
                started_at: step.started_at,
                finished_at: step.finished_at,
            })
        };
        self.shelf.of_own_steps(tenant, run, line).await
    }

    /// Copies the steps before `from` into the journal of run `new`.
    pub(super) async fn take_over(
        &self,
        old: &Record,
        new: RunId,
        from: u32,
    ) -> Result<TakenOver, StoreError> {
        let tenant = &old.tenant;
        let mut taken = TakenOver {
            steps: 0,
            keys: BTreeMap::new(),
            replied: false,
            rest: Commit::default(),
            early: false,
        };
        if from == 0 {
            return Ok(taken);
        }
        let lines = self.lines(tenant, old.id).await?;
        let mut order: Vec<_> = lines
            .iter()
            .filter(|line| line.number < from)
            .map(|line| (line.completed, line.number))
            .collect();
        order.sort_unstable();
        let place: BTreeMap<u32, u32> = order.iter().map(|(_, number)| *number).zip(0..).collect();

        let of = (tenant, new);
        let (mut after, mut bytes) = (None, 0);
        let mut set = Vec::new();
        loop {
            let page = self.shelf.step_records(tenant, old.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.number);
            for mut step in page {
                let Some(completed) = place.get(&step.number) else { continue };
                step.completed = *completed;
                set.extend(key_set(&step));
                if matches!(step.did, Did::Reply { .. }) && !taken.replied {
                    // The first reply, which is the one that counts, is among those before any step that has one.
                    taken.replied = true;
                    let reply = self.shelf.read::<Replied>(&keys::reply(tenant, old.id)).await?;
                    if let Some((mut reply, _)) = reply {
                        let key = keys::reply(tenant, new);
                        taken.rest = self.shelf.put(taken.rest, of, key, &mut reply).await?;
                    }
                }
                if taken.rest.changes() >= CHUNK || bytes >= CHUNK_BYTES {
                    self.shelf.store.commit(std::mem::take(&mut taken.rest)).await?;
                    (taken.early, bytes) = (true, 0);
                }
                bytes += step.bytes();
                let key = keys::step(tenant, new, step.number);
                taken.rest = self.shelf.put(taken.rest.absent(key.clone()), of, key, &mut step).await?;
                taken.steps += 1;
            }
        }
        taken.keys.extend(set);
        Ok(taken)
    }

    /// Deletes what was committed of a replay that is not made after all. If
    /// that fails, steps stay that belong to no run.
    pub(super) async fn leave(&self, tenant: &TenantId, new: RunId, taken: &TakenOver) {
        if taken.early
            && let Err(error) = self.remove_rest(tenant, new).await
        {
            tracing::warn!(tenant.id = %tenant, run.id = %new, "steps of no run stay in the store: {error}");
        }
    }
}

/// The step that failed last, or, of several that went on at once and failed,
/// the first. A run that succeeded coped with its failures.
fn failed(lines: &[Line], status: RunStatus) -> Option<u32> {
    if status == RunStatus::Succeeded {
        return None;
    }
    let last = lines.iter().filter(|line| line.failed).max_by_key(|line| line.completed)?;
    let together = lines.iter().filter(|line| line.failed && line.finished_at > last.started_at);
    together.map(|line| line.number).chain([last.number]).min()
}

fn key_set(step: &StepRecord) -> Option<(String, String)> {
    let (Did::SetKey { name, value }, Payload::Here(outcome)) = (&step.did, &step.outcome) else {
        return None;
    };
    let outcome: Outcome<String> = serde_json::from_str(outcome).ok()?;
    matches!(outcome, Outcome::Answered(_)).then(|| (name.clone(), value.clone()))
}
