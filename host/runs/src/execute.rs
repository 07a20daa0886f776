//! Carrying a run: from its place in memory to its end in the store, through
//! as many attempts as the host's own failures need.

use std::sync::Arc;

use host_model::outcome::{Finished, Outcome, Usage};
use host_model::run::RunStatus;
use host_store::{StoreError, Version};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::Runs;
use crate::ask::Said;
use crate::guests::HostFailure;
use crate::journal::{Core, Journal, Opening};
use crate::ledger::Halt;
use crate::perform::{Writer, caught};
use crate::places::Place;
use crate::record::{Ending, Record, bounds_from_spec};
use crate::repair::Grip;
use crate::shelf::as_json;

/// After so many processes that ended while they had it, without a step
/// further, a run goes alone among its like: then an innocent one gets further.
const SUSPECT: u32 = 2;
/// After so many it is taken to be what ends them.
const MAX_FRUITLESS: u32 = 5;

/// How an attempt at a run ended.
pub(crate) enum Attempt {
    /// The run has ended.
    Ended,
    /// The host is stopping, or somebody's hand parked it.
    Parked,
    /// Somebody's hand stopped it: its record says what is next.
    Ordered,
    /// The host or the store failed.
    Broken(String),
}

impl Runs {
    /// Carries the run in the background.
    pub(crate) fn start(self: &Arc<Self>, place: Place) {
        let runs = Arc::clone(self);
        self.stops.spawn(async move {
            let (tenant, run) = (place.tenant.clone(), place.run);
            let ordered = runs.carry(&place).await;
            drop(place);
            if ordered {
                // It may have been resumed while it still had its place.
                runs.places.wait_in_store(&tenant, Some(run));
            }
        });
    }

    /// `true` if somebody's hand stopped it.
    async fn carry(&self, place: &Place) -> bool {
        let (tenant, run) = (&place.tenant, place.run);
        let backoff = self.settings.runs;
        let (mut attempt, mut ordered) = (0, false);
        while attempt < backoff.tries {
            if attempt > 0 && !self.stops.pause(backoff.before(attempt)).await
                || self.stops.drain.is_cancelled()
            {
                self.give_back(place).await;
                return ordered;
            }
            let again = ordered || attempt > 0;
            let tried = caught(|| async { Ok(Box::pin(self.attempt(place, again)).await) }).await;
            let why = match tried {
                Ok(Ok(Attempt::Ended)) => return ordered,
                Ok(Ok(Attempt::Parked)) => {
                    self.give_back(place).await;
                    return ordered;
                }
                Ok(Ok(Attempt::Ordered)) => {
                    ordered = true;
                    continue;
                }
                Ok(Ok(Attempt::Broken(why))) => why,
                Ok(Err(error)) => error.to_string(),
                Err(panicked) => panicked.to_string(),
            };
            tracing::warn!(
                tenant.id = %tenant, run.id = %run, attempt,
                "run `{run}` stopped short and stays accepted: {why}",
            );
            attempt += 1;
        }
        tracing::error!(
            tenant.id = %tenant, run.id = %run,
            "run `{run}` was tried {} times; it stays accepted and goes on at the next start", backoff.tries,
        );
        self.places.leave(run);
        self.give_back(place).await;
        ordered
    }

    async fn attempt(&self, place: &Place, again: bool) -> Result<Attempt, StoreError> {
        let found = self.shelf.record(&place.tenant, place.run).await?;
        let Some((record, version)) = found else { return Ok(Attempt::Ended) };
        match record.status {
            RunStatus::Accepted | RunStatus::Cancelling => {}
            RunStatus::Paused => return Ok(Attempt::Parked),
            _ => return Ok(Attempt::Ended),
        }
        let Some((writer, _alone)) = self.take_up(record, version, again).await? else {
            return Ok(Attempt::Ended);
        };
        let cancelling = writer.record.status == RunStatus::Cancelling;
        let given = self.shelf.given(&place.tenant, place.run).await?;
        let bounds = bounds_from_spec(&given.bounds);
        let data = self.shelf.text(given.data).await?;
        let run = writer.record.clone().into_run(data, None, Vec::new());
        let journal = Journal::open(Opening {
            shelf: self.shelf.clone(),
            clock: Arc::clone(&self.clock),
            guests: Arc::clone(&self.guests),
            backoff: self.settings.calls,
            stops: self.stops.clone(),
            writer,
            wiring: self.shelf.json(given.wiring).await?,
            seed: given.seed,
            since: given.since.unwrap_or(run.accepted_at),
            keys_of: given.keys_of.unwrap_or(run.id),
            wall_ms: u64::try_from(bounds.wall.as_millis()).unwrap_or(u64::MAX),
        })
        .await?;

        let core = Arc::clone(&journal.0);
        let _live = self.live.enter(&core);
        if cancelling {
            return self.undo(&core).await;
        }
        let began = Instant::now();
        let guest = caught(|| self.guests.run_workflow(&run, &bounds, Arc::new(journal)));
        let ended = core.ordered.run_until_cancelled(guest).await;
        let ended = ended.unwrap_or_else(|| Err(HostFailure("it was stopped by hand".to_owned())));
        core.settle(bounds.wall.saturating_sub(began.elapsed())).await;
        self.conclude(&core, ended).await
    }

    /// Makes the run this process's own. `None` if it ends here: it has ended
    /// too many processes.
    async fn take_up(
        &self,
        mut record: Record,
        mut version: Version,
        again: bool,
    ) -> Result<Option<(Writer, Option<SemaphorePermit<'_>>)>, StoreError> {
        let ours = record.taken_by == Some(self.process);
        let fence = match self.lease.grip(record.taken_by).await? {
            Grip::Theirs => return Ok(None),
            Grip::Free(fence) => fence,
        };
        if !ours && record.taken_by.is_some() {
            record.fruitless += 1;
        }
        if record.fruitless > MAX_FRUITLESS {
            let outcome = Outcome::Trapped(format!(
                "the host ended {} times while it had this run and got no step further; it is not tried again",
                record.fruitless
            ));
            self.finish(record, version, RunStatus::Failed, nothing_more(outcome)).await?;
            return Ok(None);
        }
        let alone = match record.fruitless {
            SUSPECT.. => self.suspects.acquire().await.ok(),
            _ => None,
        };
        if again || !ours {
            record.attempts = record.attempts.saturating_add(1);
        }
        if !ours {
            // Written before the guest runs, or a run that ends the host at once would never be counted.
            record.taken_by = Some(self.process);
            version = self.shelf.write_record_and(&mut record, version, fence).await?;
        }
        Ok(Some((Writer { record, version }, alone)))
    }

    /// From what the guest and its journal say to the run's end.
    async fn conclude(
        &self,
        core: &Core,
        ended: Result<Finished<String>, HostFailure>,
    ) -> Result<Attempt, StoreError> {
        let finished = match (core.halted(), ended) {
            (Some(Halt::Broken(why)), _) => return Ok(Attempt::Broken(why)),
            (Some(Halt::Parked), _) => return Ok(Attempt::Parked),
            (Some(Halt::Ordered), _) => return Ok(Attempt::Ordered),
            (None, Err(failure)) => return Ok(Attempt::Broken(failure.to_string())),
            (halt, Ok(finished)) => (halt, finished),
            (halt, Err(_)) => (halt, nothing_more(Outcome::Trapped(String::new()))),
        };
        let (status, finished) = match finished {
            (Some(Halt::Differs(number, asked)), finished) => {
                let outcome = Outcome::Trapped(self.differs(core, number, &asked).await?);
                (RunStatus::Diverged, Finished { outcome, ..finished })
            }
            (Some(Halt::Failed(text)), finished) => {
                (RunStatus::Failed, Finished { outcome: Outcome::Trapped(text), ..finished })
            }
            (_, finished) => match (core.unasked(), &finished.outcome) {
                // It ran out of something before it came so far: no word about what it would have asked.
                (Some(_), Outcome::Exceeded(_)) => (RunStatus::Failed, finished),
                (Some(number), _) => {
                    let outcome = Outcome::Trapped(self.differs(core, number, "nothing: it was done").await?);
                    (RunStatus::Diverged, Finished { outcome, ..finished })
                }
                (None, Outcome::Answered(_)) => (RunStatus::Succeeded, finished),
                (None, _) => (RunStatus::Failed, finished),
            },
        };
        let writer = core.writer.lock().await;
        if writer.record.status != RunStatus::Accepted {
            return Ok(Attempt::Ordered); // just before its end
        }
        self.finish(writer.record.clone(), writer.version, status, finished).await?;
        Ok(Attempt::Ended)
    }

    async fn differs(&self, core: &Core, number: u32, asked: &str) -> Result<String, StoreError> {
        let recorded = self.shelf.step_record(&core.tenant, core.run, number).await?;
        let recorded = recorded.map(|step| Said(&step.did).to_string()).unwrap_or_default();
        Ok(format!(
            "the workflow is not deterministic: its journal has, as step {number}, {recorded}; this time it asked for {asked}"
        ))
    }

    /// Writes the end.
    pub(crate) async fn finish(
        &self,
        mut record: Record,
        version: Version,
        status: RunStatus,
        finished: Finished<String>,
    ) -> Result<(), StoreError> {
        record.status = status;
        record.finished_at = Some(self.clock.now());
        record.taken_by = None;
        record.usage.add(&finished.usage);
        let ending = Ending { outcome: as_json(&finished.outcome)?, log: as_json(&finished.log)? };
        self.shelf.write_ending(&mut record, version, ending).await?;
        tracing::info!(
            tenant.id = %record.tenant, run.id = %record.id, workflow.name = %record.workflow,
            steps = record.steps, attempts = record.attempts,
            "run `{}` of `{}` {}", record.id, record.workflow, status.as_str(),
        );
        Ok(())
    }

    /// Notes that this process gave the run up in good order, so that it is not
    /// suspected. If that cannot be written, it is only suspected once too often.
    async fn give_back(&self, place: &Place) {
        let given = async {
            let found = self.shelf.record(&place.tenant, place.run).await?;
            let ours = |record: &Record| !record.status.is_over() && record.taken_by == Some(self.process);
            if let Some((mut record, version)) = found.filter(|(record, _)| ours(record)) {
                record.taken_by = None;
                self.shelf.write_record(&mut record, version).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = given.await {
            let run = place.run;
            tracing::debug!(run.id = %run, "could not note that run `{run}` was given back: {error}");
        }
    }
}

pub(crate) fn nothing_more(outcome: Outcome<String>) -> Finished<String> {
    Finished { outcome, usage: Usage::default(), log: Vec::new() }
}
