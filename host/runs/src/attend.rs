//! What a run waits for: sleeps, events, other runs. One task of an attempt
//! looks after all of it, while the guest waits too.
//!
//! Invariants
//! - Waits that are over are told in the order in which they were.
//! - A wait is over because of what the store or the clock says, never because
//!   of who was told; so a run that was parked meanwhile sees the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::EventName;
use host_model::outcome::{CallError, Finished, Outcome};
use host_model::run::RunStatus;
use host_store::{Commit, Doorbell, StoreError, Version};
use tokio::time::Instant;

use crate::ask::{Callee, Doing};
use crate::events::{Event, consumed, unexpected};
use crate::journal::Core;
use crate::keys;
use crate::ledger::Halt;
use crate::perform::{Order, only};
use crate::tail::Also;

/// A wait that is over sooner is waited for in memory: less than it costs to
/// take the run up again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long an event or another run is waited for in memory before the run is
/// parked: most other runs have ended by then.
const LINGER: Duration = Duration::from_secs(1);

/// What an open step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An instant.
    Time(Timestamp),
    /// An event.
    Event { name: EventName, until: Option<Timestamp> },
    /// The end of another run.
    Run(RunId),
    /// The next try of a call.
    Retry(Timestamp),
}

impl What {
    /// When it is over at the latest, as far as that is known.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Time(until) | Self::Retry(until) => Some(*until),
            Self::Event { until, .. } => *until,
            Self::Run(_) => None,
        }
    }

    /// Whether it will be over within [`PATIENCE`].
    fn is_short(&self, now: Timestamp) -> bool {
        self.until().is_some_and(|until| until - PATIENCE <= now)
    }
}

/// An open step that only waits.
pub(crate) struct Waiting {
    pub(crate) order: Order,
    pub(crate) what: What,
    /// What is called once it is over, of a try.
    pub(crate) callee: Option<Callee>,
}

/// What was seen of the store when nothing was over.
pub(crate) struct Seen {
    pub(crate) waits: Vec<(u32, What)>,
    /// The stored events that are of no use to the waits, by name.
    pub(crate) stale: BTreeMap<EventName, Version>,
}

/// A wait that is over.
struct Over {
    at: Timestamp,
    number: u32,
    finished: Finished<String>,
    also: Also,
}

/// The bells of what is waited for, hung before it is looked at.
#[derive(Default)]
struct Hung {
    events: Option<Doorbell>,
    runs: BTreeMap<RunId, Doorbell>,
}

impl Hung {
    /// Waits until one of them rings; for ever if there is none.
    async fn rung(&mut self) {
        let bells = self.events.iter_mut().chain(self.runs.values_mut());
        let rings: Vec<_> = bells.map(|bell| Box::pin(bell.rung())).collect();
        if rings.is_empty() {
            return std::future::pending().await;
        }
        if !select_all(rings).await.0 {
            std::future::pending::<()>().await; // the store is gone
        }
    }
}

impl Core {
    /// A step waits from now on. The attempt's task looks after it.
    pub(crate) fn wait_for(self: &Arc<Self>, order: Order, what: What) {
        self.wait_to(Waiting { order, what, callee: None });
    }

    /// The same of a step whose call is to be tried again.
    pub(crate) fn wait_to(self: &Arc<Self>, waiting: Waiting) {
        let first = {
            let mut waits = self.waits.lock();
            waits.open.insert(waiting.order.number, waiting);
            !std::mem::replace(&mut waits.attended, true)
        };
        if self.over.is_cancelled() {
            return self.abandon(); // nobody may look after it any more
        }
        if first {
            let core = Arc::clone(self);
            self.apart(async move {
                if let Err(halt) = core.attend().await {
                    core.halt(halt);
                }
            });
        }
        self.ring();
    }

    async fn attend(self: &Arc<Self>) -> Result<(), Halt> {
        let mut changed = self.changes();
        let mut bells = Hung::default();
        let mut lingers: Option<Instant> = None;
        loop {
            changed.mark_unchanged();
            if self.halted().is_some() {
                return Ok(());
            }
            if self.over.is_cancelled() {
                self.abandon();
                return Ok(());
            }
            let mut wake = None;
            if self.is_blocked() {
                let seen = match self.look(&mut bells).await {
                    Ok(Some(seen)) => seen,
                    Ok(None) => continue, // some were over: look at what that changed
                    Err(StoreError::Conflict) => return Err(Halt::Again),
                    Err(error) => {
                        return Err(Halt::Broken(format!("cannot see what {} waits for: {error}", self.run)));
                    }
                };
                let now = self.clock.now();
                let alone = self.only_waits();
                if alone && self.stops.drain.is_cancelled() {
                    return Err(Halt::Parked);
                }
                // A run that is undone is never parked.
                let long = alone && !self.undoing && !seen.waits.iter().any(|(_, what)| what.is_short(now));
                let may_end =
                    seen.waits.iter().any(|(_, what)| matches!(what, What::Event { .. } | What::Run(_)));
                let since = *lingers.get_or_insert_with(Instant::now);
                if long && (!may_end || since.elapsed() >= LINGER) {
                    if self.park(&seen).await? {
                        return Err(Halt::Waits);
                    }
                    continue;
                }
                wake = seen.waits.iter().filter_map(|(_, what)| what.until()).min();
                if !long {
                    lingers = None;
                }
            } else {
                lingers = None;
            }
            let draining = self.stops.drain.is_cancelled();
            let clock = async {
                match wake {
                    Some(until) => self.clock.sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let linger = async {
                match lingers {
                    Some(since) => tokio::time::sleep_until(since + LINGER).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = self.over.cancelled() => {}
                () = self.stops.drain.cancelled(), if !draining => {}
                () = clock => {}
                () = bells.rung(), if wake.is_some() || lingers.is_some() => {}
                () = linger => {}
            }
        }
    }

    /// Settles the waits that are over; `None` if there were any. Otherwise
    /// what was seen.
    async fn look(self: &Arc<Self>, bells: &mut Hung) -> Result<Option<Seen>, StoreError> {
        let waits: Vec<(u32, What)> =
            self.waits.lock().open.iter().map(|(number, waiting)| (*number, waiting.what.clone())).collect();
        let store = &self.shelf.store;
        let (tenant, now) = (&self.tenant, self.clock.now());
        let (mut over, mut due) = (Vec::new(), Vec::new());
        let mut stale = BTreeMap::new();
        for (number, what) in &waits {
            match what {
                What::Time(until) if *until <= now => {
                    let finished = only(Outcome::Answered("null".to_owned()));
                    over.push(Over { at: *until, number: *number, finished, also: Also::default() });
                }
                What::Retry(until) if *until <= now => due.push(*number),
                What::Time(_) | What::Retry(_) => {}
                What::Event { name, until } => {
                    let key = keys::event(tenant, self.run, name);
                    bells.events.get_or_insert_with(|| store.watch(&keys::events(tenant, self.run)));
                    let stored = self.shelf.read::<Event>(&key).await?;
                    let version = stored.as_ref().map(|(_, version)| *version);
                    if let Some((event, version)) = stored
                        && event.is_for(*number)
                    {
                        let at = event.at;
                        let (data, also) = consumed(&self.shelf, key, event, version, *number).await?;
                        over.push(Over {
                            at,
                            number: *number,
                            finished: only(Outcome::Answered(data)),
                            also,
                        });
                    } else if let Some(at) = until.filter(|until| *until <= now) {
                        // Whoever sends it after this was looked at is told that it is too late, or this is taken back.
                        let also =
                            Also { commit: unexpected(Commit::default(), key, version), ..Also::default() };
                        let why = format!("the event `{name}` did not come in time");
                        let finished = only(Outcome::Declined(CallError::NotFound(why)));
                        over.push(Over { at, number: *number, finished, also });
                    } else if let Some(version) = version {
                        stale.insert(name.clone(), version);
                    }
                }
                What::Run(run) => {
                    bells.runs.entry(*run).or_insert_with(|| store.watch(&keys::told(tenant, *run)));
                    if let Some((outcome, _)) = self.shelf.ending(tenant, *run).await? {
                        let record = self.shelf.record(tenant, *run).await?.map(|(record, _)| record);
                        let at = record.as_ref().and_then(|record| record.finished_at).unwrap_or(now);
                        let status = record.map_or(RunStatus::Failed, |record| record.status);
                        let finished = only(answer_of(*run, status, outcome));
                        bells.runs.remove(run);
                        over.push(Over { at, number: *number, finished, also: Also::default() });
                    }
                }
            }
        }
        if over.is_empty() && due.is_empty() {
            return Ok(Some(Seen { waits, stale }));
        }
        over.sort_by_key(|over| (over.at, over.number));
        let mut goes_on = false;
        for Over { number, finished, also, .. } in over {
            let waiting = self.waits.lock().open.remove(&number);
            if let Some(Waiting { order, .. }) = waiting {
                goes_on |= self.done(order, finished, also);
            }
        }
        for number in due {
            let waiting = self.waits.lock().open.remove(&number);
            if let Some(Waiting { order, callee: Some(callee), .. }) = waiting {
                let core = Arc::clone(self);
                self.apart(async move { core.perform(order, Doing::Call(callee)).await });
            }
        }
        if !goes_on {
            self.flush_soon();
        }
        Ok(None)
    }

    /// Whether every open step waits.
    pub(crate) fn only_waits(&self) -> bool {
        let waits = self.waits.lock().open.len();
        waits > 0 && self.open() == waits
    }

    /// The guest has ended: nothing that still waits matters any more.
    pub(crate) fn abandon(&self) {
        for (_, Waiting { mut order, .. }) in std::mem::take(&mut self.waits.lock().open) {
            let why = match self.halted() {
                Some(Halt::Overdue) => "the run's deadline came".to_owned(),
                _ => "the workflow ended without waiting for it".to_owned(),
            };
            let error = match self.last_error(order.number) {
                Some(error) => {
                    order.gave_up = Some(why);
                    error
                }
                None => CallError::Other(why),
            };
            self.done(order, only(Outcome::Declined(error)), Also::default());
        }
    }
}

/// How another run ended, as the one that started it is told.
fn answer_of(run: RunId, status: RunStatus, outcome: Outcome<String>) -> Outcome<String> {
    match (status, outcome) {
        (RunStatus::Succeeded, Outcome::Answered(text)) => Outcome::Answered(text),
        (_, outcome) => {
            let why = match outcome {
                Outcome::Answered(_) => String::new(),
                Outcome::Declined(error) => format!(": {error}"),
                Outcome::Exceeded(exceeded) => format!(": it {exceeded}"),
                Outcome::Trapped(why) | Outcome::BadAnswer(why) => format!(": {why}"),
            };
            let status = status.as_str();
            Outcome::Declined(CallError::Permanent(format!("{run} {status}{why}")))
        }
    }
}
