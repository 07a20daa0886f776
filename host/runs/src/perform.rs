//! Doing one step and writing it down.
//!
//! Invariants
//! - One commit of a run at a time: the order of commits is the order of
//!   completion, also on disk.
//! - After a commit of unknown fate the known version may be wrong: then the
//!   store refuses what follows, and the next attempt reads what is there.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use host_model::clock::Timestamp;
use host_model::outcome::{Bound, Exceeded, Finished, Outcome, Usage};
use host_store::{StoreError, Version};

use crate::ask::{Asked, Doing};
use crate::guests::{EndpointCall, HostFailure};
use crate::journal::Core;
use crate::ledger::{Halt, Known};
use crate::record::{Record, StepRecord};
use crate::shelf::as_json;

/// Who may write a run's record: whoever holds this, at its version.
pub(crate) struct Writer {
    pub(crate) record: Record,
    pub(crate) version: Version,
}

impl Core {
    /// Does what was asked and records it, or stops the attempt.
    pub(crate) async fn perform(&self, number: u32, asked: Asked, started_at: Timestamp, doing: Doing) {
        let cut = self.cut.clone();
        let done = match doing {
            Doing::Refuse(error) => Some(Ok(only(Outcome::Declined(error)))),
            Doing::Sleep(until) => cut.run_until_cancelled(self.sleep(until)).await,
            Doing::Call { connection, endpoint, input } => {
                let call = EndpointCall {
                    tenant: self.tenant.clone(),
                    connection,
                    endpoint,
                    input,
                    idempotency_key: self.key(number),
                    run: self.run,
                };
                cut.run_until_cancelled(self.call(call)).await
            }
        };
        match done {
            Some(Ok(finished)) => self.record(number, asked, started_at, finished).await,
            Some(Err(halt)) => self.halt(halt),
            None => self.record(number, asked, started_at, self.out_of_time()).await,
        }
    }

    async fn sleep(&self, until: Timestamp) -> Result<Finished<String>, Halt> {
        match self.ordered.run_until_cancelled(self.stops.pause_until(&*self.clock, until)).await {
            Some(true) => Ok(only(Outcome::Answered("null".to_owned()))),
            Some(false) => Err(Halt::Parked),
            None => Err(Halt::Ordered),
        }
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

    /// Writes the step, durably, and only then lets it be shown.
    async fn record(&self, number: u32, asked: Asked, started_at: Timestamp, finished: Finished<String>) {
        let mut writer = self.writer.lock().await;
        let (completed, finished_at) = (writer.record.steps, self.clock.now());
        let Finished { outcome, usage, log } = finished;
        let texts = as_json(&outcome).and_then(|outcome| Ok((outcome, as_json(&log)?)));
        let digest = asked.digest;
        let step = texts.map(|(outcome, log)| StepRecord {
            number,
            completed,
            did: asked.did,
            asked: digest,
            idempotency_key: self.key(number),
            started_at,
            finished_at,
            outcome,
            usage,
            log,
            tries: Vec::new(),
            place: None,
        });
        let written = match step {
            Ok(step) => self.write(&mut writer, step).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                self.settled(number, Known { asked: digest, completed, finished_at, outcome: Some(outcome) });
            }
            Err(error) => {
                self.halt(Halt::Broken(format!("cannot record step {number} of {}: {error}", self.run)));
            }
        }
    }

    async fn write(&self, writer: &mut Writer, step: StepRecord) -> Result<(), StoreError> {
        let mut record = writer.record.clone();
        record.steps += 1;
        record.fruitless = 0;
        record.usage.add(&step.usage);
        writer.version = self.shelf.write_step(&mut record, writer.version, step).await?;
        writer.record = record;
        Ok(())
    }

    /// Waits for the calls that go on, at most this long; those that then still
    /// go on are cut, and recorded as cut.
    pub(crate) async fn settle(&self, at_most: Duration) {
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
        only(Outcome::Exceeded(Exceeded { bound: Bound::WallTime, limit, used }))
    }
}

/// What a step that ran no guest gives.
fn only(outcome: Outcome<String>) -> Finished<String> {
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
