//! The effects of one attempt at one run, each journalled.
//!
//! Everything that a workflow does goes through [`Core::once`]: answered from
//! the journal if it is there, else done, shown and queued to be written.
//! Nothing leaves the host before what it follows from is durable; see
//! [`crate::perform`].
//!
//! A crash between an effect and its record does the effect again, under the
//! same idempotency key: run and step.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use host_model::clock::{Clock, Timestamp};
use host_model::digest::Digest;
use host_model::effects::{BoxFuture, Effects, Intent, Pending, Stopped};
use host_model::id::RunId;
use host_model::name::{EventName, TenantId};
use host_model::outcome::{CallError, Outcome};
use host_model::retry::Retry;
use host_model::run::RunStatus;
use host_store::StoreError;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Runs;
use crate::ask::{Asked, Doing};
use crate::attend::{Waiting, What};
use crate::deadline::Deadline;
use crate::guests::Guests;
use crate::intents::planned;
use crate::ledger::{Ask, Halt, Known, Ledger, MAX_PENDING, MAX_STEPS};
use crate::perform::{Order, Writer, only};
use crate::places::Places;
use crate::record::{Did, Payload, Wiring};
use crate::retry::Tries;
use crate::script::Script;
use crate::settings::{Backoff, Stops};
use crate::shelf::{PAGE, Shelf};
use crate::tail::{Also, MAX_UNDO, Tail};

/// The most bytes of a mark that are recorded; said in `wit/`.
const MAX_MARK: usize = 200;

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
    pub(crate) definition: Option<Digest>,
    pub(crate) places: Arc<Places>,
    pub(crate) public_url: Arc<str>,
    pub(crate) runs: Weak<Runs>,
    pub(crate) wall_ms: u64,
    pub(crate) retry: Retry,
    pub(crate) script: Option<Script>,
}

/// The open steps that only wait.
#[derive(Default)]
pub(crate) struct Waits {
    pub(crate) open: BTreeMap<u32, Waiting>,
    /// Whether a task looks after them.
    pub(crate) attended: bool,
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
    /// The guest has ended: what only waits matters no more.
    pub(crate) over: CancellationToken,
    pub(crate) calls: TaskTracker,
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    pub(crate) wall_ms: u64,
    pub(crate) retry: Retry,
    pub(crate) deadline: Option<Deadline>,
    /// Not the run goes on, but what undoes it.
    pub(crate) undoing: bool,
    /// The tries of steps that are not done. Locked after the tail.
    pub(crate) tried: Mutex<BTreeMap<u32, Tries>>,
    pub(crate) keys_of: RunId,
    /// No outside effect: what the journal does not have ends the run.
    dry: bool,
    /// Of a test: what is told instead of the outside.
    script: Option<Mutex<Script>>,
    /// What is done and not yet written. Locked before the ledger, never after it.
    pub(crate) tail: Mutex<Tail>,
    pub(crate) waits: Mutex<Waits>,
    pub(crate) seed: [u8; 32],
    pub(crate) public_url: Arc<str>,
    pub(crate) runs: Weak<Runs>,
    /// How many runs deep it was started.
    pub(crate) depth: u8,
    places: Arc<Places>,
    events: Mutex<BTreeMap<u32, EventName>>,
    pub(crate) wiring: Wiring,
    definition: Option<Digest>,
    text: OnceCell<String>,
    mark: Mutex<Option<String>>,
    ledger: Mutex<Ledger>,
    random: Mutex<ChaCha20Rng>,
    changed: watch::Sender<()>,
}

/// The effects as the sandbox sees them.
pub(crate) struct Journal(pub(crate) Arc<Core>);

impl Journal {
    /// Reads what is recorded of the run.
    pub(crate) async fn open(opening: Opening) -> Result<Self, StoreError> {
        let Opening { shelf, clock, guests, backoff, stops, writer, wiring, .. } = opening;
        let (tenant, run) = (writer.record.tenant.clone(), writer.record.id);
        let dry = writer.record.replay_of.as_ref().is_some_and(|replay| replay.dry);
        let mut ledger = Ledger::new(opening.since);
        let (mut after, mut undo) = (None, 0);
        while ledger.recorded() < writer.record.steps as usize {
            let page = shelf.step_records(&tenant, run, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Err(StoreError::Engine(format!("steps of {run} are gone").into()));
            };
            after = Some(last.number);
            for step in page {
                undo += usize::from(matches!(step.did, Did::OnCancel { .. }));
                let outcome = match step.outcome {
                    here @ Payload::Here(_) => Some(shelf.json(here).await?),
                    Payload::Blob(_) => None, // read when the guest asks for it
                };
                let (asked, completed, finished_at) = (step.asked, step.completed, step.finished_at);
                ledger.know(step.number, Known { asked, completed, finished_at, outcome });
            }
        }
        let tried = match writer.record.retries {
            0 => Vec::new(),
            _ => shelf.tries(&tenant, run).await?,
        };
        let undoing = writer.record.status == RunStatus::Cancelling;
        Ok(Self(Arc::new(Core {
            retry: opening.retry,
            deadline: Deadline::of(&writer.record),
            undoing,
            tried: Mutex::new(tried.into_iter().map(|tries| (tries.step, tries)).collect()),
            tenant,
            run,
            shelf,
            clock,
            guests,
            backoff,
            stops,
            cut: CancellationToken::new(),
            ordered: CancellationToken::new(),
            over: CancellationToken::new(),
            calls: TaskTracker::new(),
            tail: Mutex::new(Tail::after(&writer.record, undo)),
            waits: Mutex::default(),
            events: Mutex::default(),
            seed: opening.seed,
            public_url: opening.public_url,
            runs: opening.runs,
            depth: writer.record.depth,
            writer: tokio::sync::Mutex::new(writer),
            wall_ms: opening.wall_ms,
            keys_of: opening.keys_of,
            dry,
            script: opening.script.map(Mutex::new),
            places: opening.places,
            wiring,
            definition: opening.definition,
            text: OnceCell::new(),
            mark: Mutex::default(),
            ledger: Mutex::new(ledger),
            random: Mutex::new(ChaCha20Rng::from_seed(opening.seed)),
            changed: watch::Sender::new(()),
        })))
    }
}

impl Core {
    /// Answers from the journal if the step is there; otherwise does it and has
    /// it recorded. Gives the step's number, by which its answer is waited for.
    async fn once(self: &Arc<Self>, asked: Asked, doing: Doing) -> Result<u32, Stopped> {
        let doing = match &self.script {
            Some(script) => script.lock().played(&asked, self.mark.lock().as_deref(), doing, &self.retry),
            None => doing,
        };
        let ask = {
            let mut ledger = self.ledger.lock();
            if let Some(halt) = ledger.halted() {
                return Err(Stopped(halt.text()));
            }
            ledger.ask(asked.digest, doing.is_instant())
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
        let order =
            Order { number, asked, started_at: self.clock.now(), place: self.last_place(), gave_up: None };
        self.begin(order, doing)?;
        while self.tail.lock().is_full() {
            // Only this slows down a guest whose steps take no time.
            self.flushed().await?;
        }
        Ok(number)
    }

    /// Where in its source the workflow said last that it is.
    pub(crate) fn last_place(&self) -> Option<String> {
        self.mark.lock().clone()
    }

    /// Whether nothing of it leaves the host.
    pub(crate) fn is_played(&self) -> bool {
        self.script.is_some()
    }

    /// Begins a step, or does it if that takes no time.
    pub(crate) fn begin(self: &Arc<Self>, mut order: Order, doing: Doing) -> Result<(), Stopped> {
        let tried = self.tried.lock().get(&order.number).map(|it| (it.asked, it.started_at, it.due));
        if tried.is_some_and(|(asked, ..)| asked != order.asked.digest) {
            return self.stop(Halt::Differs(order.number, order.asked.to_string()));
        }
        let (outcome, also) = match doing {
            Doing::Call(callee) if let Some((_, started_at, due)) = tried => {
                order.started_at = started_at;
                self.wait_to(Waiting { order, what: What::Retry(due), callee: Some(callee) });
                return Ok(());
            }
            Doing::Fail(why) => return self.stop(Halt::Failed(why)),
            Doing::Refuse(error) => (Outcome::Declined(error), Also::default()),
            Doing::Told(outcome, tries) => {
                self.told(&order, &tries);
                (outcome, Also::default())
            }
            Doing::SetKey { name, value } => match self.tail.lock().set_key(&name, &value) {
                Ok(()) => (null(), Also { key: Some((name, value)), ..Also::default() }),
                Err(error) => (Outcome::Declined(error), Also::default()),
            },
            Doing::Reply { answer } => {
                let reply = self.tail.lock().reply().then_some(answer);
                (null(), Also { reply, ..Also::default() })
            }
            Doing::OnCancel => {
                if !self.tail.lock().undo() {
                    let why = format!("the run named more than {MAX_UNDO} calls that undo it");
                    return self.stop(Halt::Failed(why));
                }
                (null(), Also::default())
            }
            Doing::Sleep(until) => {
                self.wait_for(order, What::Time(until));
                return Ok(());
            }
            Doing::Event { name, until } => {
                let twice = self.waits.lock().open.values().any(
                    |waiting| matches!(&waiting.what, What::Event { name: other, .. } if *other == name),
                );
                if !twice {
                    self.wait_for(order, What::Event { name, until });
                    return Ok(());
                }
                let why = format!("the event `{name}` is waited for already; give this one another name");
                (Outcome::Declined(CallError::Conflict(why)), Also::default())
            }
            doing => {
                let core = Arc::clone(self);
                self.apart(async move { core.perform(order, doing).await });
                return Ok(());
            }
        };
        let replies = also.reply.is_some();
        self.done(order, only(outcome), also);
        if replies {
            self.flush_soon(); // somebody waits for it
        }
        Ok(())
    }

    /// Does it in a task of its own: a guest that is cut while something is
    /// written must not tear the write.
    pub(crate) fn apart(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.stops.spawn(self.calls.track_future(task));
    }

    /// Has written what is done, and goes on meanwhile.
    pub(crate) fn flush_soon(self: &Arc<Self>) {
        let core = Arc::clone(self);
        self.apart(async move {
            if let Err(halt) = core.flush().await {
                core.halt(halt);
            }
        });
    }

    /// Has written what is done, and waits for it.
    async fn flushed(self: &Arc<Self>) -> Result<(), Stopped> {
        let (tell, told) = oneshot::channel();
        let core = Arc::clone(self);
        self.apart(async move {
            if let Err(halt) = core.flush().await {
                core.halt(halt);
            }
            let _ = tell.send(()); // whoever waited may be gone
        });
        let _ = told.await; // an error only if the process stops
        match self.halted() {
            Some(halt) => Err(Stopped(halt.text())),
            None => Ok(()),
        }
    }

    /// Runs that a commit of this one accepted come to their turn.
    pub(crate) fn started(&self, runs: &[RunId]) {
        for run in runs {
            self.places.wait_in_store(&self.tenant, Some(*run));
        }
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

    /// A step is done: it may be shown. `true` if the guest waits for it.
    pub(crate) fn settled(&self, number: u32, known: Known) -> bool {
        let mut ledger = self.ledger.lock();
        ledger.settle(number, known);
        ledger.is_awaited(number)
    }

    /// Wakes whoever waits for the ledger to change.
    pub(crate) fn ring(&self) {
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

    /// A bell for changes of the ledger.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the guest waits, for nothing that is done.
    pub(crate) fn is_blocked(&self) -> bool {
        self.ledger.lock().is_blocked()
    }

    /// How many steps that the guest asked for are not done.
    pub(crate) fn open(&self) -> usize {
        self.ledger.lock().open()
    }

    /// Waits for these steps until `look` finds something in the ledger.
    async fn until<T>(
        self: &Arc<Self>,
        awaited: Vec<u32>,
        mut look: impl FnMut(&mut Ledger) -> Option<T>,
    ) -> Result<T, Stopped> {
        let mut changed = self.changed.subscribe();
        let mut awaited = Some(awaited);
        let mut blocked = None;
        loop {
            let begins = {
                let mut ledger = self.ledger.lock();
                if let Some(halt) = ledger.halted() {
                    return Err(Stopped(halt.text()));
                }
                if let Some(found) = look(&mut ledger) {
                    return Ok(found);
                }
                awaited.take().map(|awaited| ledger.awaits(awaited)).is_some()
            };
            if begins {
                // However it ends, also if the guest is cut.
                blocked.get_or_insert(Blocked(self));
                if !self.tail.lock().is_empty() {
                    self.flush_soon(); // it may wait for long
                }
                self.ring(); // whoever looks after the waits begins to
            }
            if changed.changed().await.is_err() {
                return Err(Stopped("the journal is closed".to_owned()));
            }
        }
    }

    /// The answer of a step, once it is done.
    pub(crate) async fn answer(self: &Arc<Self>, number: u32) -> Result<Result<String, CallError>, Stopped> {
        let look = |ledger: &mut Ledger| ledger.show(number).map(|known| known.outcome.clone());
        if let Some(outcome) = self.until(vec![number], look).await? {
            return Ok(outcome.into_call_result());
        }
        self.flushed().await?; // it was too large to keep, so it must be there to be read
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

    /// The text that the workflow was set up with, read once.
    async fn text(&self) -> Result<String, Stopped> {
        let Some(digest) = self.definition else { return Ok(String::new()) };
        let read = || self.shelf.definition(&digest);
        match self.text.get_or_try_init(read).await {
            Ok(text) => Ok(text.clone()),
            Err(error) => {
                self.stop(Halt::Broken(format!("cannot read the definition of {}: {error}", self.run)))
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

/// The guest waits as long as this is.
struct Blocked<'c>(&'c Core);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.ledger.lock().awaits(Vec::new());
    }
}

impl Effects for Journal {
    fn start(&self, intent: Intent) -> BoxFuture<'_, Result<Pending, Stopped>> {
        Box::pin(async move {
            let (asked, doing) = planned(&self.0.wiring, self.now(), intent);
            let event = if let Doing::Event { name, .. } = &doing { Some(name.clone()) } else { None };
            let number = self.0.once(asked, doing).await?;
            if let Some(name) = event {
                self.0.events.lock().insert(number, name);
            }
            Ok(Pending(number))
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
            let awaited = pending.iter().map(|Pending(number)| *number).collect();
            self.0.until(awaited, |ledger| ledger.first_of(&pending)).await
        })
    }

    fn callback_url(&self, Pending(number): Pending) -> String {
        let name = self.0.events.lock().get(&number).cloned();
        name.map(|name| self.0.event_url(number, &name)).unwrap_or_default()
    }

    fn mark(&self, mut place: String) {
        place.truncate(place.floor_char_boundary(MAX_MARK));
        *self.0.mark.lock() = Some(place);
    }

    fn definition(&self) -> BoxFuture<'_, Result<String, Stopped>> {
        Box::pin(self.0.text())
    }

    fn now(&self) -> Timestamp {
        self.0.ledger.lock().now()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.random.lock().fill_bytes(bytes);
    }
}

fn null() -> Outcome<String> {
    Outcome::Answered("null".to_owned())
}

fn crowded() -> CallError {
    CallError::Permanent(format!(
        "{MAX_PENDING} calls of this run are going on, which is the most; wait for one before starting another"
    ))
}

fn too_many() -> String {
    format!("the run asked for more than {MAX_STEPS} steps, which is the most that it may have")
}
