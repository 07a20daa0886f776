//! The scheduler: keeps every schedule of the set that it was given last.

use std::collections::HashMap;
use std::sync::Arc;

use host_model::clock::{Clock, Timestamp};
use host_model::effects::BoxFuture;
use host_model::name::{ScheduleName, TenantId};
use host_store::{Commit, Store};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cursor::{self, Found, Mark, cursor_key};
use crate::keeper::Keeper;
use crate::schedule::Schedule;

/// How many fires go on at once: at midnight thousands may be due, and the
/// store's group commit gains little from more.
const FIRING: usize = 64;

/// What a fire came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// The run is durable, in one commit with what `commit_with` says.
    Accepted,
    /// A run with this fire's id is there already; nothing was done.
    Already,
}

/// Why a fire came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FireError {
    /// The store said [`host_store::StoreError::Conflict`]: most likely another
    /// host fired this instant. The scheduler looks and goes on.
    #[error("somebody else changed what the fire depends on")]
    Conflict,
    /// It cannot succeed, however often it is tried. The instant is given up.
    #[error("{0}")]
    Refused(String),
    /// It may succeed later. The instant is tried again until it does.
    #[error("{0}")]
    Failed(String),
}

/// Starts a run for a schedule.
pub trait Fire: Send + Sync + 'static {
    /// Accepts a run for the instant. The commit that makes the run durable
    /// must contain all of `commit_with`, requirements and changes: that is
    /// what makes it the only one. Its idempotency key is [`Schedule::fire_id`].
    ///
    /// May be called again for the same instant if it failed, or if nobody
    /// knows whether it did.
    fn fire<'a>(
        &'a self,
        schedule: &'a Schedule,
        scheduled: Timestamp,
        commit_with: Commit,
    ) -> BoxFuture<'a, Result<Fired, FireError>>;
}

/// The set of schedules that a running [`Scheduler`] keeps.
#[derive(Clone)]
pub struct ScheduleSet(Arc<watch::Sender<Arc<[Schedule]>>>);

impl ScheduleSet {
    /// Keeps these from now on. Unchanged ones go on undisturbed; a new one,
    /// and one whose line, zone, gap, overlap hour or pause changed, begins
    /// now; one that is gone is forgotten, also in the store.
    pub fn replace(&self, schedules: Vec<Schedule>) {
        self.0.send_replace(schedules.into());
    }
}

/// Fires schedules. Several hosts on one store may each run one.
pub struct Scheduler {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    fire: Arc<dyn Fire>,
    set: ScheduleSet,
    places: Arc<Semaphore>,
}

/// A schedule that has a task.
struct Kept {
    schedule: Arc<Schedule>,
    stop: CancellationToken,
}

impl Scheduler {
    /// A scheduler without schedules.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, fire: Arc<dyn Fire>) -> Self {
        let set = ScheduleSet(Arc::new(watch::Sender::new(Arc::new([]))));
        Self { store, clock, fire, set, places: Arc::new(Semaphore::new(FIRING)) }
    }

    /// Where to say which schedules there are, before and while it runs.
    pub fn schedules(&self) -> ScheduleSet {
        self.set.clone()
    }

    /// Fires until `stop`; then ends when the fires under way have ended.
    pub async fn run(self, stop: CancellationToken) {
        // Dropped instead of stopped, it leaves no task behind either.
        let stop = stop.child_token();
        let _on_drop = stop.clone().drop_guard();
        let mut set = self.set.0.subscribe();
        let mut kept: HashMap<Id, Kept> = HashMap::new();
        let tasks = TaskTracker::new();
        loop {
            let schedules = Arc::clone(&set.borrow_and_update());
            let wanted: HashMap<Id, &Schedule> =
                schedules.iter().map(|schedule| (id(schedule), schedule)).collect();
            for (gone, Kept { stop, .. }) in kept.extract_if(|id, _| !wanted.contains_key(id)) {
                stop.cancel();
                self.forget(&gone).await;
            }
            for (id, schedule) in wanted {
                if kept.get(&id).is_some_and(|kept| *kept.schedule == *schedule) {
                    continue;
                }
                let next = Kept { schedule: Arc::new(schedule.clone()), stop: stop.child_token() };
                tasks.spawn(self.keeper(&next).keep());
                if let Some(last) = kept.insert(id, next) {
                    last.stop.cancel();
                }
            }
            // The sender lives in `self`: the set cannot close.
            if stop.run_until_cancelled(set.changed()).await.is_none() {
                break;
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    fn keeper(&self, kept: &Kept) -> Keeper {
        Keeper {
            key: cursor_key(&kept.schedule.tenant, &kept.schedule.name),
            schedule: Arc::clone(&kept.schedule),
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            fire: Arc::clone(&self.fire),
            places: Arc::clone(&self.places),
            stop: kept.stop.clone(),
        }
    }

    /// Deletes the cursor of a schedule that is gone, unless it moves meanwhile.
    async fn forget(&self, (tenant, name): &Id) {
        let key = cursor_key(tenant, name);
        let deleted = match cursor::read(&*self.store, &key).await {
            Ok(Found::Nothing) => return,
            Ok(Found::Mark(Mark { version, .. }) | Found::Damaged(version)) => {
                self.store.commit(Commit::default().at(key.clone(), version).delete(key)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = deleted {
            tracing::warn!(
                tenant.id = %tenant, schedule.name = %name, %error,
                "could not delete the cursor of schedule `{name}`: a new one of that name may fire once for the time between",
            );
        }
    }
}

type Id = (TenantId, ScheduleName);

fn id(schedule: &Schedule) -> Id {
    (schedule.tenant.clone(), schedule.name.clone())
}

#[cfg(test)]
mod tests;
