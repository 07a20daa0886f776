//! Doing one step and writing it down.
//!
//! A step that is done goes into the queue of what is written next
//! ([`crate::tail`]) and is shown to the guest. The queue is written, in one
//! commit, before anything else leaves the host: before the next effect is
//! begun, when the guest waits, together with the run's end. A crash before
//! that repeats the step under the same idempotency key.
//!
//! Invariants
//! - One commit of a run at a time: the order of the queue is the order of
//!   completion, also on disk.
//! - After a commit of unknown fate nothing more is written: the next attempt
//!   reads what is there.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::outcome::{Bound, Exceeded, Finished, Outcome, Usage};
use host_store::{Commit, StoreError, Version};

use crate::ask::{Asked, Callee, Doing};
use crate::guests::{EndpointCall, HostFailure};
use crate::journal::Core;
use crate::keys;
use crate::ledger::{Halt, Known};
use crate::record::{Did, Payload, Record, Replied, StepRecord};
use crate::retry::Next;
use crate::search::MAX_CONNECTIONS;
use crate::shelf::{Shelf, as_json, bytes_of};
use crate::tail::{Also, Done, Entry};

/// Who may write a run's record: whoever holds this, at its version.
pub(crate) struct Writer {
    pub(crate) record: Record,
    pub(crate) version: Version,
    /// A commit failed: what is stored is not known any more.
    pub(crate) lost: bool,
}

/// A step that the guest asked for.
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) asked: Asked,
    pub(crate) started_at: Timestamp,
    /// Where in the workflow's source.
    pub(crate) place: Option<String>,
    /// Why it is not tried again.
    pub(crate) gave_up: Option<String>,
}

impl Core {
    /// Does what was asked and has it written, or stops the attempt.
    pub(crate) async fn perform(self: &Arc<Self>, order: Order, doing: Doing) {
        // Whatever led the guest to this is durable before it leaves the host.
        if let Err(halt) = self.flush().await {
            return self.halt(halt);
        }
        let done = match doing {
            Doing::Call(callee) => self.call_once(order, callee).await,
            Doing::Child { workflow, input, at } => self.start_child(order, workflow, input, at).await,
            Doing::Publish { topic, data } => self.publish(order, topic, data).await,
            // The rest takes no time: the journal does it when it is asked.
            _ => Ok(()),
        };
        if let Err(halt) = done {
            self.halt(halt);
        }
    }

    async fn call_once(self: &Arc<Self>, mut order: Order, callee: Callee) -> Result<(), Halt> {
        let call = EndpointCall {
            tenant: self.tenant.clone(),
            connection: callee.connection.clone(),
            endpoint: callee.endpoint.clone(),
            input: callee.input.clone(),
            idempotency_key: self.key(order.number),
            run: self.run,
        };
        let called = self.cut.clone().run_until_cancelled_owned(self.call(call)).await;
        let finished = match called {
            None => self.out_of_time(),
            Some(finished) => {
                let finished = finished?;
                match self.next(&order, callee.tries, &finished) {
                    Next::Again(tried) => {
                        self.try_again(order, callee, tried);
                        return Ok(());
                    }
                    Next::Done(gave_up) => order.gave_up = gave_up,
                }
                finished
            }
        };
        // A guest that waited for it goes on, and asks, waits or ends: that writes it. Otherwise nobody would for long.
        if self.done(order, finished, Also::default()) { Ok(()) } else { self.flush().await }
    }

    /// Calls the endpoint, again if the host itself failed.
    async fn call(&self, call: EndpointCall) -> Result<Finished<String>, Halt> {
        let mut attempt = 0;
        loop {
            let failure = match caught(|| self.guests.call_endpoint(call.clone())).await {
                Ok(finished) => return Ok(finished),
                Err(failure) => failure,
            };
            attempt += 1;
            let EndpointCall { connection, endpoint, .. } = &call;
            tracing::warn!(
                tenant.id = %self.tenant, run.id = %self.run, connection.name = %connection, attempt,
                "the host could not call `{connection}.{endpoint}`: {failure}",
            );
            if attempt >= self.backoff.tries || self.halted().is_some() {
                return Err(Halt::Broken(format!("calling `{connection}.{endpoint}`: {failure}")));
            }
            if !self.stops.pause(self.backoff.before(attempt)).await {
                return Err(Halt::Parked);
            }
        }
    }

    /// The step is done: it is shown, and written with what comes next.
    /// `true` if the guest waited for it and goes on.
    pub(crate) fn done(&self, order: Order, finished: Finished<String>, also: Also) -> bool {
        let Order { number, asked, started_at, place, gave_up } = order;
        let Finished { outcome, usage, log } = finished;
        let (failure, tries) = (outcome.failure(), self.tries_of(number));
        let texts = as_json(&outcome).and_then(|outcome| Ok((outcome, as_json(&log)?)));
        let (told, log) = match texts {
            Ok(texts) => texts,
            Err(error) => {
                self.halt(Halt::Broken(format!("cannot record step {number} of {}: {error}", self.run)));
                return true;
            }
        };
        let mut tail = self.tail.lock();
        let (completed, finished_at, digest) = (tail.completed(), self.clock.now(), asked.digest);
        let step = StepRecord {
            number,
            completed,
            did: asked.did,
            asked: digest,
            idempotency_key: self.key(number),
            started_at,
            finished_at,
            outcome: told,
            usage,
            log,
            tries,
            gave_up,
            place,
        };
        tail.push(Done { step, failure, also });
        // Under the same lock: the order of the queue is the order shown.
        let known = Known { asked: digest, completed, finished_at, outcome: Some(outcome) };
        let goes_on = self.settled(number, known);
        drop(tail);
        self.ring();
        goes_on
    }

    /// Writes what is done so far. When it returns, all of it is durable.
    pub(crate) async fn flush(&self) -> Result<(), Halt> {
        let mut writer = self.writer.lock().await;
        loop {
            if writer.lost {
                return Err(Halt::Broken(format!("the journal of {} could not be written", self.run)));
            }
            let batch = self.tail.lock().take();
            if batch.is_empty() {
                return Ok(());
            }
            let mut record = writer.record.clone();
            let written = async {
                let (commit, starts) = append(&self.shelf, &mut record, batch).await?;
                let written = self.shelf.write_record_and(&mut record, writer.version, commit).await;
                self.started(&starts); // also if the answer is lost: they may be there
                written
            };
            match written.await {
                Ok(version) => (writer.record, writer.version) = (record, version),
                Err(error) => {
                    writer.lost = true;
                    return Err(match error {
                        StoreError::Conflict => Halt::Again,
                        error => Halt::Broken(format!("cannot write the journal of {}: {error}", self.run)),
                    });
                }
            }
        }
    }

    /// Waits for the calls that go on, at most this long; those that then still
    /// go on are cut, and recorded as cut.
    pub(crate) async fn settle(&self, at_most: Duration) {
        self.over.cancel();
        self.calls.close();
        if tokio::time::timeout(at_most, self.calls.wait()).await.is_err() {
            self.cut.cancel();
            self.calls.wait().await;
        }
    }

    /// The same at every repetition of the step.
    fn key(&self, number: u32) -> String {
        format!("{}-{number}", self.keys_of)
    }

    fn out_of_time(&self) -> Finished<String> {
        let (limit, used) = (self.wall_ms, self.wall_ms);
        let wall = Exceeded { bound: Bound::WallTime, limit, used };
        let deadline = self.deadline.filter(|_| self.halted() == Some(Halt::Overdue));
        only(Outcome::Exceeded(deadline.map_or(wall, |deadline| deadline.exceeded(self.clock.now()))))
    }
}

/// Adds steps that are done to a commit and to the run's record. Gives the
/// runs that the commit accepts, too.
pub(crate) async fn append(
    shelf: &Shelf,
    record: &mut Record,
    batch: Vec<Entry>,
) -> Result<(Commit, Vec<RunId>), StoreError> {
    let (mut commit, mut starts) = (Commit::default(), Vec::new());
    let mut steps = Vec::with_capacity(batch.len());
    // A step may be done in the batch that has a try of it.
    let mut tries = BTreeMap::new();
    for entry in batch {
        record.fruitless = 0;
        let Done { step, failure, also } = match entry {
            Entry::Done(done) => *done,
            Entry::Tried(tried) => {
                record.retries += 1;
                record.usage.add(&tried.usage);
                tries.insert(tried.tries.step, Some(bytes_of(&tried.tries)?));
                continue;
            }
        };
        record.steps += 1;
        if !step.tries.is_empty() {
            tries.insert(step.number, None);
        }
        if let Some(kind) = failure {
            record.failed_step = Some(step.failed(kind));
        }
        record.usage.add(&step.usage);
        record.keys.extend(also.key);
        if let Did::Call { connection: Some(called), .. } = &step.did
            && record.connections.len() < MAX_CONNECTIONS
        {
            record.connections.insert(called.clone());
        }
        if let Some(answer) = also.reply {
            record.replied = true;
            let (of, key) = ((&record.tenant, record.id), keys::reply(&record.tenant, record.id));
            commit = shelf.put(commit, of, key, &mut Replied(Payload::Here(answer))).await?;
        }
        commit = commit.and(also.commit);
        starts.extend(also.starts);
        steps.push(step);
    }
    for (step, tries) in tries {
        let key = keys::tries(&record.tenant, record.id, step);
        commit = match tries {
            Some(value) => commit.put(key, value),
            None => commit.delete(key),
        };
    }
    Ok((shelf.with_steps(record, commit, steps).await?, starts))
}

/// What a step that ran no guest gives.
pub(crate) fn only(outcome: Outcome<String>) -> Finished<String> {
    Finished { outcome, usage: Usage::default(), log: Vec::new() }
}

/// Makes the call; a panic in it is a failure of the host, and of this call alone.
pub(crate) async fn caught<F, T>(make: impl FnOnce() -> F) -> Result<T, HostFailure>
where
    F: Future<Output = Result<T, HostFailure>>,
{
    match AssertUnwindSafe(async { make().await }).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(HostFailure(format!("it panicked: {text}")))
        }
    }
}
