//! A store, a clock that is moved by hand, a ledger of runs, and hosts.

use std::sync::Mutex;

use host_store::{MemoryStore, StoreError, key};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::super::*;
use super::SimClock;

/// What the next calls of `fire` come to, before it works.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    /// Nothing is committed.
    Fails,
    /// The run is committed, and nobody is told.
    CommitsAndFails,
    /// It cannot succeed.
    Refuses,
    /// The run was there before.
    Already,
}

/// Accepts runs as `host/runs` does, in one commit with what comes with the fire.
pub(super) struct Ledger {
    store: Arc<MemoryStore>,
    pub(super) fired: Mutex<Vec<(String, Timestamp)>>,
    pub(super) troubles: Mutex<Vec<Trouble>>,
    /// Closed, no fire goes through.
    pub(super) gate: RwLock<()>,
}

impl Fire for Ledger {
    fn fire<'a>(
        &'a self,
        schedule: &'a Schedule,
        scheduled: Timestamp,
        commit_with: Commit,
    ) -> BoxFuture<'a, Result<Fired, FireError>> {
        Box::pin(async move {
            let _open = self.gate.read().await;
            let trouble = self.troubles.lock().unwrap().pop();
            match trouble {
                Some(Trouble::Fails) => return Err(FireError::Failed("the disk is full".to_owned())),
                Some(Trouble::Refuses) => return Err(FireError::Refused("no such workflow".to_owned())),
                Some(Trouble::Already) => return Ok(Fired::Already),
                Some(Trouble::CommitsAndFails) | None => {}
            }
            // Requires nothing of its own: what comes with the fire must be enough.
            let run = key::tenant(&schedule.tenant).kind("run").bytes(schedule.fire_id(scheduled).as_bytes());
            match self.store.commit(commit_with.put(run, "accepted")).await {
                Ok(_) => {}
                Err(StoreError::Conflict) => return Err(FireError::Conflict),
                Err(error) => return Err(FireError::Failed(error.to_string())),
            }
            let name = format!("{}/{}", schedule.tenant, schedule.name);
            self.fired.lock().unwrap().push((name, scheduled));
            match trouble {
                None => Ok(Fired::Accepted),
                Some(_) => Err(FireError::Failed("the connection was lost".to_owned())),
            }
        })
    }
}

pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    pub(super) clock: SimClock,
    pub(super) ledger: Arc<Ledger>,
}

pub(super) struct Host {
    pub(super) set: ScheduleSet,
    stop: CancellationToken,
    tasks: TaskTracker,
}

pub(super) fn at(text: &str) -> Timestamp {
    format!("{text}Z").parse().unwrap()
}

/// Acme's schedule of this name, with what `more` says.
pub(super) fn schedule(name: &str, cron: &str, more: Value) -> Schedule {
    let mut spec = json!({ "name": name, "cron": cron, "workflow": "report" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Schedule::resolve("acme".parse().unwrap(), serde_json::from_value(spec).unwrap()).unwrap()
}

impl World {
    pub(super) fn at(text: &str) -> Self {
        let store = Arc::new(MemoryStore::new());
        let ledger = Ledger {
            store: Arc::clone(&store),
            fired: Mutex::default(),
            troubles: Mutex::default(),
            gate: RwLock::default(),
        };
        Self { store, clock: SimClock::at(at(text)), ledger: Arc::new(ledger) }
    }

    /// A host that has taken up these schedules.
    pub(super) async fn host(&self, schedules: &[Schedule]) -> Host {
        self.host_on(self.store.clone(), schedules).await
    }

    /// The same, on a store of its own making.
    pub(super) async fn host_on(&self, store: Arc<dyn Store>, schedules: &[Schedule]) -> Host {
        let scheduler = Scheduler::new(store, Arc::new(self.clock.clone()), self.ledger.clone());
        let host =
            Host { set: scheduler.schedules(), stop: CancellationToken::new(), tasks: TaskTracker::new() };
        host.set.replace(schedules.to_vec());
        host.tasks.spawn(scheduler.run(host.stop.clone()));
        settle().await;
        host
    }

    /// Moves the clock on, from sleeper to sleeper.
    pub(super) async fn until(&self, text: &str) {
        let end = at(text);
        while let Some(next) = self.clock.next_wake().filter(|next| *next <= end) {
            self.clock.set(next);
            settle().await;
        }
        self.clock.set(end);
        settle().await;
    }

    /// What fired since last asked, in order.
    pub(super) fn fired(&self) -> Vec<Timestamp> {
        std::mem::take(&mut *self.ledger.fired.lock().unwrap()).into_iter().map(|(_, at)| at).collect()
    }
}

impl Host {
    pub(super) async fn replace(&self, schedules: &[Schedule]) {
        self.set.replace(schedules.to_vec());
        settle().await;
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Lets every task go as far as it can without the clock. No step of a
/// schedule takes more than a dozen turns.
pub(super) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
