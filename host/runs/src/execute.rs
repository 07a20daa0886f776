//! Carrying a run: from its place in memory to its end in the store, through
//! as many attempts as the host's own failures need.

use std::sync::Arc;
use std::time::Duration;

use host_model::id::RunId;
use host_model::outcome::{Finished, Outcome, Usage};
use host_model::run::{Failure, RunStatus, StartedBy, Wait};
use host_store::{Commit, StoreError, Version};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::ask::Said;
use crate::guests::HostFailure;
use crate::journal::{Core, Journal, Opening};
use crate::ledger::Halt;
use crate::perform::{Writer, append, caught};
use crate::places::Place;
use crate::record::{Ending, Record, bounds_from_spec};
use crate::repair::Grip;
use crate::shelf::as_json;
use crate::{Runs, dead, keys};

/// After so many processes that ended while they had it, without a step
/// further, a run goes alone among its like: then an innocent one gets further.
const SUSPECT: u32 = 2;
/// After so many it is taken to be what ends them.
const MAX_FRUITLESS: u32 = 5;

/// How often the end of a run is tried whose starter changed meanwhile.
const TRIES: usize = 20;

/// How an attempt at a run ended.
pub(crate) enum Attempt {
    /// The run has ended.
    Ended,
    /// The host is stopping, or somebody's hand parked it.
    Parked,
    /// Somebody's hand stopped it: its record says what is next.
    Ordered,
    /// It waits, out of memory, and its record says for what.
    Waits,
    /// It rests on something that changed meanwhile.
    Again,
    /// The host or the store failed.
    Broken(String),
}

impl Runs {
    /// Carries the run in the background.
    pub(crate) fn start(self: &Arc<Self>, place: Place) {
        let runs = Arc::clone(self);
        self.stops.spawn(async move {
            let (tenant, run) = (place.tenant.clone(), place.run);
            let released = runs.carry(&place).await;
            drop(place);
            // It may have been resumed or woken while it still had its place.
            if released && !matches!(runs.shelf.store.get(&keys::pending(&tenant, run)).await, Ok(None)) {
                runs.places.wait_in_store(&tenant, Some(run));
            }
        });
    }

    /// `true` if somebody's hand stopped it, or it is parked.
    async fn carry(&self, place: &Place) -> bool {
        let (tenant, run) = (&place.tenant, place.run);
        let backoff = self.settings.runs;
        let (mut attempt, mut ordered, mut pause) = (0, false, Duration::ZERO);
        while attempt < backoff.tries {
            if !pause.is_zero() && !self.stops.pause(pause).await || self.stops.drain.is_cancelled() {
                self.give_back(place).await;
                return ordered;
            }
            let again = ordered || attempt > 0;
            let tried = caught(|| async { Ok(Box::pin(self.attempt(place, again)).await) }).await;
            let why = match tried {
                Ok(Ok(Attempt::Ended)) => return ordered,
                Ok(Ok(Attempt::Waits)) => return true,
                Ok(Ok(Attempt::Parked)) => {
                    self.give_back(place).await;
                    return ordered;
                }
                Ok(Ok(Attempt::Ordered)) => {
                    ordered = true;
                    pause = Duration::ZERO;
                    continue;
                }
                Ok(Ok(Attempt::Again)) => {
                    attempt += 1;
                    pause = Duration::ZERO;
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
            pause = backoff.before(attempt);
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
            _ => {
                self.unlist(&record, version).await?;
                return Ok(Attempt::Ended);
            }
        }
        let Some((writer, _alone)) = self.take_up(record, version, again).await? else {
            return Ok(Attempt::Ended);
        };
        let writer = match self.unless_overdue(writer).await? {
            Ok(writer) => writer,
            Err(ended) => return Ok(ended),
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
            definition: given.definition,
            script: match given.script {
                Some(script) => Some(self.shelf.json(script).await?),
                None => None,
            },
            places: Arc::clone(&self.places),
            public_url: given.public_url.map_or_else(|| Arc::clone(&self.settings.public_url), Arc::from),
            runs: self.me.clone(),
            retry: given.retry,
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
        let ended = core.ordered.run_until_cancelled(core.until_deadline(guest)).await;
        let ended = ended.unwrap_or_else(|| Err(HostFailure("it was stopped by hand".to_owned())));
        core.settle(core.grace(bounds.wall.saturating_sub(began.elapsed()))).await;
        if core.halted() == Some(Halt::Overdue) {
            core.abandon();
        }
        self.conclude(&core, ended).await
    }

    /// Takes a run that has ended, or waits, off the pending list: it should not be there.
    async fn unlist(&self, record: &Record, version: Version) -> Result<(), StoreError> {
        let pending = keys::pending(&record.tenant, record.id);
        if self.shelf.store.get(&pending).await?.is_none() {
            return Ok(());
        }
        let commit = Commit::default().at(keys::record(&record.tenant, record.id), version).delete(pending);
        match self.shelf.store.commit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
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
        Ok(Some((Writer { record, version, lost: false }, alone)))
    }

    /// From what the guest and its journal say to the run's end.
    async fn conclude(
        &self,
        core: &Core,
        ended: Result<Finished<String>, HostFailure>,
    ) -> Result<Attempt, StoreError> {
        let finished = match (core.halted(), ended) {
            (Some(Halt::Again), _) => return Ok(Attempt::Again),
            (Some(Halt::Waits), _) => return Ok(Attempt::Waits),
            (Some(Halt::Ordered), _) => return Ok(core.unfinished(Attempt::Ordered).await),
            (Some(Halt::Broken(why)), _) => return Ok(core.unfinished(Attempt::Broken(why)).await),
            (Some(Halt::Parked), _) => return Ok(core.unfinished(Attempt::Parked).await),
            (None, Err(failure)) => {
                return Ok(core.unfinished(Attempt::Broken(failure.to_string())).await);
            }
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
            (Some(Halt::Overdue), finished) if let Some(deadline) = core.deadline => {
                let outcome = Outcome::Exceeded(deadline.exceeded(self.clock.now()));
                (RunStatus::Failed, Finished { outcome, ..finished })
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
        // All but the last batch first; that one shares the commit of the end.
        let last = loop {
            let batch = core.tail.lock().take();
            if core.tail.lock().is_empty() {
                break batch;
            }
            core.tail.lock().put_back(batch);
            if core.flush().await.is_err() {
                return Ok(Attempt::Broken("its journal could not be written".to_owned()));
            }
        };
        let writer = core.writer.lock().await;
        if writer.lost {
            return Ok(Attempt::Broken("its journal could not be written".to_owned()));
        }
        if writer.record.status != RunStatus::Accepted {
            core.tail.lock().put_back(last);
            drop(writer);
            return Ok(core.unfinished(Attempt::Ordered).await); // just before its end
        }
        let mut record = writer.record.clone();
        let (commit, starts) = append(&self.shelf, &mut record, last).await?;
        let finished =
            self.finish_with(record, writer.version, status, finished, core.last_place(), commit).await;
        core.started(&starts); // perhaps, if the answer was lost
        match finished {
            Ok(()) => Ok(Attempt::Ended),
            Err(StoreError::Conflict) => Ok(Attempt::Again),
            Err(error) => Err(error),
        }
    }

    async fn differs(&self, core: &Core, number: u32, asked: &str) -> Result<String, StoreError> {
        let recorded = self.shelf.step_record(&core.tenant, core.run, number).await?;
        let recorded = match recorded {
            Some(step) => Said(&step.did).to_string(),
            None => core.tried_so_far(number),
        };
        Ok(format!(
            "the workflow is not deterministic: its journal has, as step {number}, {recorded}; this time it asked for {asked}"
        ))
    }

    /// Writes the end.
    pub(crate) async fn finish(
        &self,
        record: Record,
        version: Version,
        status: RunStatus,
        finished: Finished<String>,
    ) -> Result<(), StoreError> {
        self.finish_with(record, version, status, finished, None, Commit::default()).await
    }

    /// Writes the end, together with `also`; `place` is where in its source the workflow was.
    pub(crate) async fn finish_with(
        &self,
        mut record: Record,
        version: Version,
        status: RunStatus,
        finished: Finished<String>,
        place: Option<String>,
        also: Commit,
    ) -> Result<(), StoreError> {
        if matches!(status, RunStatus::Failed | RunStatus::Diverged) {
            record.failure = Some(self.failure(&mut record, status, &finished.outcome, place).await?);
        }
        record.failed_step = None;
        record.status = status;
        record.finished_at = Some(self.clock.now());
        record.taken_by = None;
        record.usage.add(&finished.usage);
        let ending = Ending { outcome: as_json(&finished.outcome)?, log: as_json(&finished.log)? };
        let commit = dead::listed(&record, self.shelf.with_ending(&record, also, ending).await?);
        match record.started_by {
            StartedBy::Run(by) => self.finish_for(by, &mut record, version, commit).await?,
            _ => drop(self.shelf.write_record_and(&mut record, version, commit).await?),
        }
        tracing::info!(
            tenant.id = %record.tenant, run.id = %record.id, workflow.name = %record.workflow,
            steps = record.steps, attempts = record.attempts,
            "run `{}` of `{}` {}", record.id, record.workflow, status.as_str(),
        );
        Ok(())
    }

    async fn failure(
        &self,
        record: &mut Record,
        status: RunStatus,
        outcome: &Outcome<String>,
        place: Option<String>,
    ) -> Result<Failure, StoreError> {
        let given = self.shelf.given(&record.tenant, record.id).await?;
        Ok(Failure {
            kind: match status {
                RunStatus::Diverged => status.as_str().to_owned(),
                _ => outcome.failure().unwrap_or("other").to_owned(),
            },
            place: match outcome {
                Outcome::Answered(_) | Outcome::Declined(_) => None, // it said itself what it had to say
                _ => place,
            },
            step: record.failed_step.take(),
            retries: record.retries,
            retry: given.retry,
            bounds: given.bounds,
            deadline_ms: given.deadline_ms,
        })
    }

    /// Writes the end of a run that another one started, and wakes that one, if it waits.
    async fn finish_for(
        &self,
        by: RunId,
        record: &mut Record,
        version: Version,
        commit: Commit,
    ) -> Result<(), StoreError> {
        let (tenant, run) = (record.tenant.clone(), record.id);
        let waits_for_it = |wait: &Wait| matches!(wait, Wait::Run { run: child } if *child == run);
        for _ in 0..TRIES {
            let (commit, roused) = self.rouse(&tenant, by, commit.clone(), waits_for_it).await?;
            match self.shelf.write_record_and(record, version, commit).await {
                Ok(_) => {
                    self.roused(&tenant, by, roused);
                    return Ok(());
                }
                Err(StoreError::Conflict) => {
                    let now = self.shelf.record(&tenant, run).await?;
                    if now.is_none_or(|(_, now)| now != version) {
                        return Err(StoreError::Conflict);
                    }
                }
                Err(error) => {
                    self.roused(&tenant, by, roused); // perhaps
                    return Err(error);
                }
            }
        }
        Err(StoreError::Conflict)
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

impl Core {
    /// The attempt goes no further; what it did is written all the same, if that can be.
    async fn unfinished(&self, attempt: Attempt) -> Attempt {
        if let Err(halt) = self.flush().await {
            tracing::debug!(run.id = %self.run, "what was done could not be written: {}", halt.text());
        }
        attempt
    }
}

pub(crate) fn nothing_more(outcome: Outcome<String>) -> Finished<String> {
    Finished { outcome, usage: Usage::default(), log: Vec::new() }
}
