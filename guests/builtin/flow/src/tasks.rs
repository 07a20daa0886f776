//! Branches that run at once, in a guest that can only wait.
//!
//! One future is polled until all of its branches wait for the host; then the
//! host says which of their effects is done first, and only its branch is
//! woken. So what is asked for, and in which order, follows from the answers.
//!
//! Invariants
//! - An effect holds a slot from its start until its answer; who finds none
//!   queues, first come first served.
//! - Once the run is stopped, no wait ends but those of `finally`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use host_flow::Val;
use wharf_sdk::Error;

use crate::effects::Effects;
use crate::failure::End;

/// The most things that may be pending at once; the contract's bound.
pub(crate) const MOST_PENDING: usize = 64;

/// The most of them that may be events: one slot is left for the steps that
/// tell somebody where to send them.
pub(crate) const MOST_EVENTS: usize = MOST_PENDING - 1;

/// Which slots an effect takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// Any.
    Any,
    /// One of those for events.
    Event,
}

/// The branches of one run.
pub(crate) struct Tasks<E: Effects> {
    pub(crate) effects: E,
    state: RefCell<State<E::Pending>>,
}

struct State<P> {
    /// Numbers whoever waits, in the order that they begin to.
    next: u64,
    awaited: BTreeMap<u64, (P, Waker)>,
    answers: BTreeMap<u64, Result<String, Error>>,
    /// Runs that nobody waits for; each holds a slot until it ends.
    left: BTreeMap<u64, P>,
    free: usize,
    free_events: usize,
    queued: BTreeMap<u64, (Slots, Waker)>,
    /// The answer of the run, once a step `stop` gave it.
    stopped: Option<Val>,
}

/// A place among the things that are pending, given back when dropped.
pub(crate) struct Slot<'t, E: Effects> {
    tasks: &'t Tasks<E>,
    slots: Slots,
}

impl<E: Effects> Tasks<E> {
    pub(crate) fn new(effects: E) -> Self {
        let state = State {
            next: 0,
            awaited: BTreeMap::new(),
            answers: BTreeMap::new(),
            left: BTreeMap::new(),
            free: MOST_PENDING,
            free_events: MOST_EVENTS,
            queued: BTreeMap::new(),
            stopped: None,
        };
        Self { effects, state: RefCell::new(state) }
    }

    /// Runs a future and whatever it joins to its end.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let rung = Arc::new(Bell(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&rung));
        let mut context = Context::from_waker(&waker);
        let mut work = pin!(work);
        loop {
            while rung.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                    return done;
                }
            }
            self.hear();
        }
    }

    /// Waits for the host and wakes whom its answer is for.
    fn hear(&self) {
        let state = &mut *self.state.borrow_mut();
        // A run that nobody waits for is looked at when its slot is wanted.
        let left = state.left.iter().filter(|_| !state.queued.is_empty());
        let waiting = state.awaited.iter().map(|(number, (pending, _))| (*number, pending));
        let waiting: Vec<(u64, &E::Pending)> = waiting.chain(left.map(|(n, p)| (*n, p))).collect();
        let number = match waiting.as_slice() {
            // Events whose `notify` wait for further events hold all slots: beyond the bound, the host refuses.
            [] if !state.queued.is_empty() => return state.grant(Slots::Event),
            [] => unreachable!("a branch waits for an answer or for a slot"),
            [(number, _)] if state.awaited.contains_key(number) => *number,
            several => {
                let pending: Vec<&E::Pending> = several.iter().map(|(_, pending)| *pending).collect();
                let first = self.effects.wait_any(&pending);
                several.get(first).or(several.first()).map_or(0, |(number, _)| *number)
            }
        };
        if let Some((pending, waker)) = state.awaited.remove(&number) {
            state.answers.insert(number, self.effects.wait(&pending));
            waker.wake();
        } else if state.left.remove(&number).is_some() {
            state.grant(Slots::Any); // nobody asks how it ended
        }
    }

    /// Takes a slot, as soon as there is one.
    pub(crate) async fn slot(&self, slots: Slots, finishing: bool) -> Result<Slot<'_, E>, End> {
        let ticket = self.state.borrow_mut().ticket();
        poll_fn(|context| {
            let state = &mut *self.state.borrow_mut();
            if state.stopped.is_some() && !finishing {
                state.queued.remove(&ticket);
                return Poll::Ready(Err(End::Stopped));
            }
            let room = state.free > 0 && (slots == Slots::Any || state.free_events > 0);
            let turn = state.queued.range(..ticket).all(|(_, (other, _))| *other != slots);
            if !(room && turn) {
                state.queued.insert(ticket, (slots, context.waker().clone()));
                return Poll::Pending;
            }
            state.queued.remove(&ticket);
            state.free -= 1;
            if slots == Slots::Event {
                state.free_events -= 1;
            }
            state.call_next();
            Poll::Ready(Ok(Slot { tasks: self, slots }))
        })
        .await
    }

    /// Waits for something that was started.
    pub(crate) async fn answer(
        &self,
        pending: E::Pending,
        finishing: bool,
    ) -> Result<Result<String, Error>, End> {
        let ticket = self.state.borrow_mut().ticket();
        let mut pending = Some(pending);
        poll_fn(|context| {
            let state = &mut *self.state.borrow_mut();
            if let Some(answer) = state.answers.remove(&ticket) {
                return Poll::Ready(Ok(answer));
            }
            if state.stopped.is_some() && !finishing {
                state.awaited.remove(&ticket);
                return Poll::Ready(Err(End::Stopped));
            }
            if let Some(pending) = pending.take() {
                state.awaited.insert(ticket, (pending, context.waker().clone()));
            } else if let Some((_, waker)) = state.awaited.get_mut(&ticket) {
                waker.clone_from(context.waker());
            }
            Poll::Pending
        })
        .await
    }

    /// Leaves something to itself; it keeps its slot until it is done.
    pub(crate) fn leave(&self, pending: E::Pending, slot: Slot<'_, E>) {
        std::mem::forget(slot);
        let mut state = self.state.borrow_mut();
        let ticket = state.ticket();
        state.left.insert(ticket, pending);
    }

    /// Ends the run with this answer; the first one counts.
    pub(crate) fn stop(&self, answer: Val) {
        let mut state = self.state.borrow_mut();
        state.stopped.get_or_insert(answer);
        state.awaited.values().for_each(|(_, waker)| waker.wake_by_ref());
        state.queued.values().for_each(|(_, waker)| waker.wake_by_ref());
    }

    /// The answer that a step `stop` gave.
    pub(crate) fn stopped(&self) -> Option<Val> {
        self.state.borrow().stopped.clone()
    }
}

impl<P> State<P> {
    fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// One slot more, and whoever is next for it.
    fn grant(&mut self, slots: Slots) {
        self.free += 1;
        if slots == Slots::Event {
            self.free_events += 1;
        }
        self.call_next();
    }

    /// Wakes the first in the queue for whom there is room.
    fn call_next(&self) {
        let fits = |slots: Slots| slots == Slots::Any || self.free_events > 0;
        if self.free > 0
            && let Some((_, waker)) = self.queued.values().find(|(slots, _)| fits(*slots))
        {
            waker.wake_by_ref();
        }
    }
}

impl<E: Effects> Drop for Slot<'_, E> {
    fn drop(&mut self) {
        self.tasks.state.borrow_mut().grant(self.slots);
    }
}

/// Says that somebody wants to go on.
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
