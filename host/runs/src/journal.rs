//! The effects of one attempt at one run, each journalled.
//!
//! Everything that a workflow does goes through [`Core::once`]: answered from
//! the journal if it is there, else done and recorded, and only then shown.
//!
//! A crash between an effect and its record does the effect again, under the
//! same idempotency key: run and step.

use std::sync::Arc;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use chrono::TimeDelta;
use host_model::clock::{Clock, Timestamp};
use host_model::effects::{BoxFuture, Effects, Intent, Pending, Stopped};
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::{CallError, Outcome};
use host_store::StoreError;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ask::{Asked, Doing, plan};
use crate::guests::Guests;
use crate::ledger::{Ask, Halt, Known, Ledger, MAX_PENDING, MAX_STEPS};
use crate::perform::Writer;
use crate::record::{Payload, Wiring};
use crate::settings::{Backoff, Stops};
use crate::shelf::Shelf;

/// How many steps are read at a time when a run is taken up: 4 MiB at most.
const PAGE: usize = 64;

/// What an attempt starts from.
pub(crate) struct Opening {
    pub(crate) shelf: Shelf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guests: Arc<dyn Guests>,
    pub(crate) backoff: Backoff,
    pub(crate) stops: Stops,
    pub(crate) writer: Writer,
    pub(crate) wiring: Wiring,
    pub(crate) seed: [u8; 32],
    /// When the run's clock starts.
    pub(crate) since: Timestamp,
    /// The run whose idempotency keys its steps have.
    pub(crate) keys_of: RunId,
    pub(crate) wall_ms: u64,
}

/// One attempt, shared by the guest and the calls that it started.
pub(crate) struct Core {
    pub(crate) tenant: TenantId,
    pub(crate) run: RunId,
    pub(crate) shelf: Shelf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) guests: Arc<dyn Guests>,
    pub(crate) backoff: Backoff,
    pub(crate) stops: Stops,
    /// Ends the calls that go on when the run's time is over; each is recorded as cut.
    pub(crate) cut: CancellationToken,
    /// Ends the guest and what only waits when somebody's hand stops the attempt.
    pub(crate) ordered: CancellationToken,
    pub(crate) calls: TaskTracker,
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    pub(crate) wall_ms: u64,
    pub(crate) keys_of: RunId,
    /// No outside effect: what the journal does not have ends the run.
    dry: bool,
    pub(crate) wiring: Wiring,
    ledger: Mutex<Ledger>,
    random: Mutex<ChaCha20Rng>,
    changed: watch::Sender<()>,
}

/// The effects as the sandbox sees them.
pub(crate) struct Journal(pub(crate) Arc<Core>);

impl Journal {
    /// Reads what is recorded of the run.
    pub(crate) async fn open(opening: Opening) -> Result<Self, StoreError> {
        let Opening { shelf, clock, guests, backoff, stops, writer, wiring, seed, since, keys_of, wall_ms } =
            opening;
        let (tenant, run) = (writer.record.tenant.clone(), writer.record.id);
        let dry = writer.record.replay_of.as_ref().is_some_and(|replay| replay.dry);
        let mut ledger = Ledger::new(since);
        let mut after = None;
        while ledger.recorded() < writer.record.steps as usize {
            let page = shelf.step_records(&tenant, run, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Err(StoreError::Engine(format!("steps of {run} are gone").into()));
            };
            after = Some(last.number);
            for step in page {
                let outcome = match step.outcome {
                    here @ Payload::Here(_) => Some(shelf.json(here).await?),
                    Payload::Blob(_) => None, // read when the guest asks for it
                };
                let (asked, completed, finished_at) = (step.asked, step.completed, step.finished_at);
                ledger.know(step.number, Known { asked, completed, finished_at, outcome });
            }
        }
        Ok(Self(Arc::new(Core {
            tenant,
            run,
            shelf,
            clock,
            guests,
            backoff,
            stops,
            cut: CancellationToken::new(),
            ordered: CancellationToken::new(),
            calls: TaskTracker::new(),
            writer: tokio::sync::Mutex::new(writer),
            wall_ms,
            keys_of,
            dry,
            wiring,
            ledger: Mutex::new(ledger),
            random: Mutex::new(ChaCha20Rng::from_seed(seed)),
            changed: watch::Sender::new(()),
        })))
    }
}

impl Core {
    /// Answers from the journal if the step is there; otherwise does it and has
    /// it recorded. Gives the step's number, by which its answer is waited for.
    async fn once(self: &Arc<Self>, asked: Asked, doing: Doing) -> Result<u32, Stopped> {
        let ask = {
            let mut ledger = self.ledger.lock();
            if let Some(halt) = ledger.halted() {
                return Err(Stopped(halt.text()));
            }
            ledger.ask(asked.digest)
        };
        let (number, doing) = match ask {
            Ask::Recorded(number) => return Ok(number),
            Ask::Fresh(number) | Ask::Crowded(number) if self.dry => {
                return self.stop(Halt::Failed(format!(
                    "the dry run stopped at step {number}, which has no recorded answer: it asked for {asked}"
                )));
            }
            Ask::Fresh(number) => (number, doing),
            Ask::Crowded(number) => (number, Doing::Refuse(crowded())),
            Ask::Differs(number) => return self.stop(Halt::Differs(number, asked.to_string())),
            Ask::TooMany => return self.stop(Halt::Failed(too_many())),
        };
        let refused = matches!(doing, Doing::Refuse(_));
        let core = Arc::clone(self);
        let started_at = self.clock.now();
        // A task of its own: a guest that is cut while its step is written must not tear the write.
        let counted = self.calls.track_future(async move {
            core.perform(number, asked, started_at, doing).await;
        });
        self.stops.spawn(counted);
        if refused {
            // A refusal takes no time, so only this slows down a guest that asks faster than they are written.
            self.until(|ledger| ledger.is_recorded(number).then_some(())).await?;
        }
        Ok(number)
    }

    fn stop<T>(&self, why: Halt) -> Result<T, Stopped> {
        let stopped = Stopped(why.text());
        self.halt(why);
        Err(stopped)
    }

    /// Stops the attempt and wakes whoever waits.
    pub(crate) fn halt(&self, why: Halt) {
        self.ledger.lock().halt(why);
        self.changed.send_replace(());
    }

    /// Why the attempt is stopped, if it is.
    pub(crate) fn halted(&self) -> Option<Halt> {
        self.ledger.lock().halted().cloned()
    }

    /// A step is durable: now it may be shown.
    pub(crate) fn settled(&self, number: u32, known: Known) {
        self.ledger.lock().settle(number, known);
        self.changed.send_replace(());
    }

    /// Whether this step is recorded.
    pub(crate) fn is_recorded(&self, number: u32) -> bool {
        self.ledger.lock().is_recorded(number)
    }

    /// A recorded step that the guest, being at its end, did not ask for.
    pub(crate) fn unasked(&self) -> Option<u32> {
        self.ledger.lock().unasked()
    }

    /// Waits until `look` finds something in the ledger.
    async fn until<T>(&self, mut look: impl FnMut(&mut Ledger) -> Option<T>) -> Result<T, Stopped> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut ledger = self.ledger.lock();
                if let Some(halt) = ledger.halted() {
                    return Err(Stopped(halt.text()));
                }
                if let Some(found) = look(&mut ledger) {
                    return Ok(found);
                }
            }
            if changed.changed().await.is_err() {
                return Err(Stopped("the journal is closed".to_owned()));
            }
        }
    }

    /// The answer of a step, once it is recorded.
    pub(crate) async fn answer(&self, number: u32) -> Result<Result<String, CallError>, Stopped> {
        let kept = self.until(|ledger| ledger.show(number).map(|known| known.outcome.clone())).await?;
        if let Some(outcome) = kept {
            return Ok(outcome.into_call_result());
        }
        let stored = match self.shelf.step_record(&self.tenant, self.run, number).await {
            Ok(Some(step)) => self.shelf.json::<Outcome<String>>(step.outcome).await,
            Ok(None) => Err(StoreError::Engine("it is gone".into())),
            Err(error) => Err(error),
        };
        match stored {
            Ok(outcome) => Ok(outcome.into_call_result()),
            Err(error) => {
                self.stop(Halt::Broken(format!("cannot read step {number} of {}: {error}", self.run)))
            }
        }
    }

    /// The sandbox hands out only what was started; a list is never empty.
    fn were_started(&self, pending: &[Pending]) -> Result<(), Stopped> {
        let ledger = self.ledger.lock();
        match pending.iter().find(|Pending(number)| !ledger.was_asked(*number)) {
            Some(Pending(number)) => Err(Stopped(format!("step {number} was never started"))),
            None if pending.is_empty() => Err(Stopped("there is nothing to wait for".to_owned())),
            None => Ok(()),
        }
    }
}

impl Effects for Journal {
    fn start(&self, intent: Intent) -> BoxFuture<'_, Result<Pending, Stopped>> {
        Box::pin(async move {
            let (asked, doing) = match intent {
                Intent::Call { role, endpoint, input } => plan(&self.0.wiring, &role, &endpoint, input),
                // Of the run's clock: a sleep that a crash cut short does not start over.
                Intent::Sleep { ms } => (Asked::sleep(ms), Doing::Sleep(later(self.now(), ms))),
                Intent::SleepUntil { time_ms } => {
                    (Asked::sleep_until(time_ms), Doing::Sleep(later(Timestamp::UNIX_EPOCH, time_ms)))
                }
                Intent::Event { .. }
                | Intent::Workflow { .. }
                | Intent::Publish { .. }
                | Intent::Reply { .. }
                | Intent::SetKey { .. }
                | Intent::OnCancel { .. } => {
                    return Err(Stopped("this host does not serve that effect yet".to_owned()));
                }
            };
            self.0.once(asked, doing).await.map(Pending)
        })
    }

    fn wait(&self, pending: Pending) -> BoxFuture<'_, Result<Result<String, CallError>, Stopped>> {
        Box::pin(async move {
            self.0.were_started(&[pending])?;
            self.0.answer(pending.0).await
        })
    }

    fn wait_any(&self, pending: Vec<Pending>) -> BoxFuture<'_, Result<usize, Stopped>> {
        Box::pin(async move {
            self.0.were_started(&pending)?;
            self.0.until(|ledger| ledger.first_of(&pending)).await
        })
    }

    fn callback_url(&self, _: Pending) -> String {
        String::new()
    }

    fn mark(&self, _: String) {}

    fn definition(&self) -> BoxFuture<'_, Result<String, Stopped>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn now(&self) -> Timestamp {
        self.0.ledger.lock().now()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.random.lock().fill_bytes(bytes);
    }
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    let by = i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds);
    by.and_then(|by| now.checked_add_signed(by)).unwrap_or(Timestamp::MAX_UTC)
}

fn crowded() -> CallError {
    CallError::Permanent(format!(
        "{MAX_PENDING} calls of this run are going on, which is the most; wait for one before starting another"
    ))
}

fn too_many() -> String {
    format!("the run asked for more than {MAX_STEPS} steps, which is the most that it may have")
}
