//! Places: which runs are in memory, and whose turn it is when one frees.
//!
//! A bounded number of runs are in memory; the others wait in the store's
//! pending list. Who waits there is remembered by tenant only, so memory does
//! not grow with the backlog.
//!
//! Invariants
//! - A place is given back exactly once, by `Drop`.
//! - A run is never in memory twice.
//! - A tenant may take another place only while it has fewer than are free:
//!   one tenant's backlog always leaves room for another's run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use host_model::id::RunId;
use host_model::name::TenantId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who is in memory and who waits.
pub(crate) struct Places {
    max: usize,
    state: Mutex<State>,
    /// Rings when a place frees or a run waits.
    bell: Notify,
}

#[derive(Default)]
struct State {
    held: HashSet<RunId>,
    by_tenant: HashMap<TenantId, usize>,
    lanes: BTreeMap<TenantId, Lane>,
    /// Whose turn it was last.
    last: Option<TenantId>,
    /// Tried often enough by this process; 16 bytes each, until the next start.
    left: HashSet<RunId>,
}

/// A tenant's runs that wait in the store.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// Those up to here have had their turn.
    after: Option<RunId>,
    /// Counts runs that came to wait.
    came: u64,
}

/// A tenant whose turn it is.
pub(crate) struct Turn {
    pub(crate) tenant: TenantId,
    /// Runs up to this one have had their turn.
    pub(crate) after: Option<RunId>,
    came: u64,
}

/// Room for one run in memory.
#[must_use = "dropping it gives the place back"]
pub(crate) struct Place {
    pub(crate) tenant: TenantId,
    pub(crate) run: RunId,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        state.held.remove(&self.run);
        if let Some(count) = state.by_tenant.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                state.by_tenant.remove(&self.tenant);
            }
        }
        drop(state);
        self.places.bell.notify_one();
    }
}

impl State {
    fn may_take(&self, max: usize, tenant: &TenantId) -> bool {
        let free = max.saturating_sub(self.held.len());
        self.by_tenant.get(tenant).copied().unwrap_or(0) < free
    }
}

impl Places {
    /// Room for this many, for one at least.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max: max.max(1), state: Mutex::default(), bell: Notify::new() })
    }

    /// A place for a new run, if there is one and none of its tenant's waits before it.
    pub(crate) fn take(self: &Arc<Self>, tenant: &TenantId, run: RunId) -> Option<Place> {
        let mut state = self.state.lock();
        if state.lanes.contains_key(tenant) || !state.may_take(self.max, tenant) {
            return None;
        }
        self.hold(&mut state, tenant, run)
    }

    fn hold(self: &Arc<Self>, state: &mut State, tenant: &TenantId, run: RunId) -> Option<Place> {
        if !state.held.insert(run) {
            return None;
        }
        *state.by_tenant.entry(tenant.clone()).or_default() += 1;
        Some(Place { tenant: tenant.clone(), run, places: Arc::clone(self) })
    }

    /// Runs of this tenant wait in the store, perhaps `run` first of them.
    pub(crate) fn wait_in_store(&self, tenant: &TenantId, run: Option<RunId>) {
        let mut state = self.state.lock();
        let lane = state.lanes.entry(tenant.clone()).or_default();
        lane.came += 1;
        // One that sorts before those that had their turn: look from the start again.
        if run.is_none_or(|run| lane.after.is_some_and(|after| run <= after)) {
            lane.after = None;
        }
        drop(state);
        self.bell.notify_one();
    }

    /// The next tenant that has a run waiting and may take a place: the one
    /// after the last, in turn.
    pub(crate) fn next(&self) -> Option<Turn> {
        let mut state = self.state.lock();
        let from = state.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = state.lanes.range((from, Bound::Unbounded)).chain(state.lanes.iter());
        let mut may = in_turn.filter(|(tenant, _)| state.may_take(self.max, tenant));
        let turn = may.next().map(|(tenant, lane)| Turn {
            tenant: tenant.clone(),
            after: lane.after,
            came: lane.came,
        })?;
        state.last = Some(turn.tenant.clone());
        Some(turn)
    }

    /// Takes the first of `found`, runs that wait after the turn's mark, that
    /// may be taken. If none is found, nobody of this tenant waits any more.
    pub(crate) fn fill(self: &Arc<Self>, turn: &Turn, found: &[RunId]) -> Option<Place> {
        let mut state = self.state.lock();
        if !state.may_take(self.max, &turn.tenant) {
            return None; // others were quicker while the store was read; it keeps its turn's mark
        }
        let fit = |run: &&RunId| !state.held.contains(run) && !state.left.contains(run);
        let first = found.iter().find(fit).copied();
        if let Some(lane) = state.lanes.get_mut(&turn.tenant)
            && lane.came == turn.came
        {
            match first.or(found.last().copied()) {
                Some(seen) => lane.after = Some(seen),
                None => drop(state.lanes.remove(&turn.tenant)),
            }
        }
        self.hold(&mut state, &turn.tenant, first?)
    }

    /// This process does not try this run again.
    pub(crate) fn leave(&self, run: RunId) {
        self.state.lock().left.insert(run);
    }

    /// Whether any run waits in the store.
    #[cfg(test)]
    pub(crate) fn is_waiting(&self) -> bool {
        !self.state.lock().lanes.is_empty()
    }

    /// How many runs are in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Waits until a place may have freed or a run may wait.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn id(ms: i64) -> RunId {
        RunId::new(DateTime::from_timestamp_millis(ms).unwrap(), [7; 10])
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn one_tenants_backlog_leaves_room_for_another() {
        let places = Places::new(10);
        let mut held: Vec<_> = (0..20).map_while(|ms| places.take(&tenant("hog"), id(ms))).collect();
        assert_eq!(held.len(), 5);
        held.extend((20..40).map_while(|ms| places.take(&tenant("other"), id(ms))));
        assert_eq!(held.len(), 8);
        held.clear();
        assert!(places.take(&tenant("hog"), id(50)).is_some());
    }

    #[test]
    fn tenants_take_turns_and_each_tenants_oldest_goes_first() {
        let places = Places::new(100);
        let waiting = [(tenant("a"), vec![id(1), id(2), id(3)]), (tenant("b"), vec![id(4)])];
        for (tenant, runs) in &waiting {
            runs.iter().for_each(|run| places.wait_in_store(tenant, Some(*run)));
        }
        let mut order = Vec::new();
        let mut held = Vec::new();
        while let Some(turn) = places.next() {
            let (_, runs) = waiting.iter().find(|(tenant, _)| *tenant == turn.tenant).unwrap();
            let found: Vec<_> = runs.iter().copied().filter(|run| Some(*run) > turn.after).collect();
            if let Some(place) = places.fill(&turn, &found) {
                order.push(place.run);
                held.push(place);
            }
        }
        assert_eq!(order, [id(1), id(4), id(2), id(3)]);
    }

    #[test]
    fn a_run_that_came_while_the_store_was_read_is_not_forgotten() {
        let places = Places::new(100);
        places.wait_in_store(&tenant("a"), Some(id(5)));
        let turn = places.next().unwrap();
        drop(places.fill(&turn, &[id(5)]));

        let turn = places.next().unwrap();
        places.wait_in_store(&tenant("a"), Some(id(1)));
        assert!(places.fill(&turn, &[]).is_none());
        let turn = places.next().expect("the lane is still there");
        assert_eq!(turn.after, None, "and looked at from its start");
        assert_eq!(places.fill(&turn, &[id(1), id(5)]).unwrap().run, id(1));
    }

    #[test]
    fn a_run_is_never_in_memory_twice_and_not_again_once_left() {
        let places = Places::new(100);
        let held = places.take(&tenant("a"), id(1)).unwrap();
        assert!(places.take(&tenant("a"), id(1)).is_none());
        drop(held);
        places.leave(id(1));
        places.wait_in_store(&tenant("a"), None);
        let turn = places.next().unwrap();
        assert!(places.fill(&turn, &[id(1)]).is_none());
    }
}
