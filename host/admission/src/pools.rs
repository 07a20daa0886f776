//! Every tenant's places: who has one, who waits for one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_model::name::TenantId;
use tokio::sync::{oneshot, watch};

use crate::decide::{Decision, Line, decide};
use crate::place::{Place, Seat};

/// Which of a tenant's two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody outside waits for the answer.
    Calls,
    /// Accepted runs; they are durable and can wait.
    Runs,
}

/// What became of somebody who asked for a place.
pub(crate) enum Asked<'a> {
    Placed(Place),
    Seated(Seat<'a>),
    Full,
    Draining,
}

/// How much is going on, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tenants with anything going on.
    pub tenants: usize,
    /// Calls that have a place.
    pub calls: usize,
    /// Runs that have a place.
    pub runs: usize,
    /// Calls and runs that wait for one.
    pub waiting: usize,
}

#[derive(Default)]
pub(crate) struct Pools {
    state: Mutex<State>,
    /// How far draining has come; changes twice in a host's life.
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Open,
    Draining,
    Empty,
}

#[derive(Default)]
struct State {
    /// Only tenants with somebody in a line: an idle tenant's entry is removed.
    tenants: HashMap<TenantId, Tenant>,
    /// Places taken, of all tenants.
    taken: usize,
    draining: bool,
    next_seat: u64,
}

#[derive(Default)]
struct Tenant {
    calls: Queue,
    runs: Queue,
}

#[derive(Default)]
struct Queue {
    /// As the latest who asked knew it: the tenant's limit may change.
    places: usize,
    taken: usize,
    /// By seat number, so in order of arrival.
    waiting: BTreeMap<u64, oneshot::Sender<Place>>,
}

impl Pools {
    /// Asks for one of `places`, or for one of `seats` to wait on.
    pub(crate) fn ask<'a>(
        self: &'a Arc<Self>,
        tenant: &'a TenantId,
        lane: Lane,
        places: usize,
        seats: usize,
    ) -> Asked<'a> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.draining {
            return Asked::Draining;
        }
        if !state.tenants.contains_key(tenant) {
            state.tenants.insert(tenant.clone(), Tenant::default());
        }
        let Some(queue) = state.tenants.get_mut(tenant).map(|found| found.queue(lane)) else {
            return Asked::Full; // inserted just above
        };
        queue.places = places;
        // With a limit that was just raised, those who wait go first.
        let next = queue.next();
        state.taken += next.len();
        let line = Line { places, taken: queue.taken, seats, waiting: queue.waiting.len() };
        let asked = match decide(line) {
            Decision::Run => {
                queue.taken += 1;
                state.taken += 1;
                Asked::Placed(Place::taken(Arc::clone(self), tenant.clone(), lane))
            }
            Decision::Wait => {
                let (sender, arrives) = oneshot::channel();
                state.next_seat += 1;
                queue.waiting.insert(state.next_seat, sender);
                Asked::Seated(Seat { pools: self, tenant, lane, number: state.next_seat, arrives })
            }
            Decision::Refuse => Asked::Full, // it has calls going on, so its entry stays
        };
        drop(guard);
        self.hand_over(next, tenant, lane);
        asked
    }

    /// Takes back a place and hands it to the next in line.
    pub(crate) fn give_back(self: &Arc<Self>, tenant: &TenantId, lane: Lane) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(queue) = state.tenants.get_mut(tenant).map(|found| found.queue(lane)) else {
            return; // cannot be: a tenant with a place taken has an entry
        };
        queue.taken = queue.taken.saturating_sub(1);
        let next = queue.next();
        state.taken = state.taken.saturating_sub(1) + next.len();
        state.forget_if_idle(tenant);
        self.announce(state);
        drop(guard);
        self.hand_over(next, tenant, lane);
    }

    /// Frees a seat, if it was not called meanwhile.
    pub(crate) fn leave(&self, tenant: &TenantId, lane: Lane, seat: u64) {
        let mut state = self.lock();
        if let Some(found) = state.tenants.get_mut(tenant) {
            found.queue(lane).waiting.remove(&seat);
        }
        state.forget_if_idle(tenant);
    }

    /// Sends everybody away who waits, and everybody who comes.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.draining = true;
        let mut sent_away = Vec::new();
        for tenant in state.tenants.values_mut() {
            sent_away.push(std::mem::take(&mut tenant.calls.waiting));
            sent_away.push(std::mem::take(&mut tenant.runs.waiting));
        }
        state.tenants.retain(|_, tenant| !tenant.is_idle());
        self.announce(&state);
        drop(state);
        drop(sent_away); // wakes them, now that the lock is free
    }

    pub(crate) async fn closed(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Closed, and every place given back.
    pub(crate) async fn emptied(&self) {
        self.reached(Phase::Empty).await;
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        let mut counts = Counts { tenants: state.tenants.len(), ..Counts::default() };
        for tenant in state.tenants.values() {
            counts.calls += tenant.calls.taken;
            counts.runs += tenant.runs.taken;
            counts.waiting += tenant.calls.waiting.len() + tenant.runs.waiting.len();
        }
        counts
    }

    /// Outside the lock: a waiter who is gone drops the place, which takes the lock again.
    fn hand_over(self: &Arc<Self>, next: Vec<oneshot::Sender<Place>>, tenant: &TenantId, lane: Lane) {
        for waiter in next {
            drop(waiter.send(Place::taken(Arc::clone(self), tenant.clone(), lane)));
        }
    }

    fn announce(&self, state: &State) {
        if state.draining {
            let phase = if state.taken == 0 { Phase::Empty } else { Phase::Draining };
            self.phase.send_if_modified(|now| std::mem::replace(now, phase) != phase);
        }
    }

    async fn reached(&self, phase: Phase) {
        // Cannot fail: the sender is in `self`.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_if_idle(&mut self, tenant: &TenantId) {
        if self.tenants.get(tenant).is_some_and(Tenant::is_idle) {
            self.tenants.remove(tenant);
        }
    }
}

impl Tenant {
    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Calls => &mut self.calls,
            Lane::Runs => &mut self.runs,
        }
    }

    fn is_idle(&self) -> bool {
        let idle = |queue: &Queue| queue.taken == 0 && queue.waiting.is_empty();
        idle(&self.calls) && idle(&self.runs)
    }
}

impl Queue {
    /// Those who get a place now, first come first. Counts their places as taken.
    fn next(&mut self) -> Vec<oneshot::Sender<Place>> {
        let mut next = Vec::new();
        while self.taken < self.places
            && let Some((_, waiter)) = self.waiting.pop_first()
        {
            self.taken += 1;
            next.push(waiter);
        }
        next
    }
}
