//! The threads on which long calls take their turns.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_task::{Runnable, ScheduleInfo, WithInfo};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;

use super::shares::Shares;
use super::way::{Way, lengthen_slice};

/// Nobody has the host for itself.
const NOBODY: u64 = 0;

/// Who asks for a turn, and a number that stands for them.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    tenant: &'a str,
    number: u64,
}

impl<'a> Asks<'a> {
    pub(super) fn new(tenant: &'a str) -> Self {
        Self { tenant, number: number(tenant) }
    }
}

/// Two tenants of one number would both run where they stand, uncounted.
fn number(tenant: &str) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one(tenant) | 1 // never `NOBODY`
}

pub(super) struct Pool {
    state: Mutex<State>,
    /// Something waits for a turn.
    work: Condvar,
    /// Who has the host for itself. Only a hint: whoever misses a change runs
    /// one call more where it stands.
    alone: AtomicU64,
    most: NonZeroUsize,
    born: Instant,
}

struct State {
    shares: Shares<Runnable>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(super) fn new(most: NonZeroUsize) -> Self {
        let state = State { shares: Shares::new(most.get()), threads: 0, idle: 0, closed: false };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            alone: AtomicU64::new(NOBODY),
            most,
            born: Instant::now(),
        }
    }

    pub(super) fn is_alone(&self, asks: Asks<'_>) -> bool {
        self.alone.load(Ordering::Relaxed) == asks.number
    }

    pub(super) fn weigh(&self, weights: HashMap<Box<str>, NonZeroU32>) {
        self.state.lock().shares.weigh(weights);
    }

    pub(super) fn may_run_here(&self, asks: Asks<'_>) -> bool {
        let mut state = self.state.lock();
        let may = state.shares.may_run_here(asks.tenant, self.now());
        self.note_who_is_alone(&state);
        may
    }

    pub(super) fn charge(&self, asks: Asks<'_>, time: Duration) {
        self.state.lock().shares.charge(asks.tenant, time, self.now());
    }

    pub(super) fn bar(&self, asks: Asks<'_>, how_long: Duration) {
        let now = self.now();
        self.state.lock().shares.bar(asks.tenant, now + how_long, now);
    }

    /// Runs a call to its end in the pool. `before` is what it used elsewhere.
    pub(super) async fn finish<F>(
        self: Arc<Self>,
        asks: Asks<'_>,
        before: Duration,
        call: Pin<Box<F>>,
    ) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.charge(asks, before);
        let pooled = Pooled { call: Some(call), runtime: Handle::current() };
        let tenant: Box<str> = asks.tenant.into();
        let wait = WithInfo(move |turn, info| self.wait(&tenant, turn, info));
        // A panic comes out where the call is awaited, as it does elsewhere.
        let (turn, call) = async_task::Builder::new().propagate_panic(true).spawn(move |()| pooled, wait);
        turn.schedule();
        call.await
    }

    /// No more turns: whoever waits for one is over.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let turns = state.shares.take_all();
        drop(state);
        drop(turns); // each ends a call, which comes back for the lock
        self.work.notify_all();
    }

    fn wait(self: &Arc<Self>, tenant: &str, turn: Runnable, info: ScheduleInfo) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(turn);
            return;
        }
        state.shares.wait(tenant, turn, self.now());
        self.note_who_is_alone(&state);
        if info.woken_while_running {
            // It made way, and the thread that it ran on looks for the next turn at
            // once. Another one would only carry the call to a core without its
            // cache, and keep that core from those that serve sockets.
            return;
        }
        if state.idle > 0 {
            self.work.notify_one();
        } else if state.threads < self.most.get() {
            let pool = Arc::clone(self);
            match std::thread::Builder::new().name("guests".to_owned()).spawn(move || pool.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) => {
                    tracing::error!(%error, "cannot start a thread for long calls: raise the limit on threads (ulimit -u)");
                }
            }
        }
    }

    /// One thread's life.
    fn serve(&self) {
        if let Err(error) = lengthen_slice() {
            tracing::debug!(%error, "a thread for long calls keeps its usual slice: sockets wait a little longer beside it");
        }
        let mut way = Way::default();
        let mut state = self.state.lock();
        while !state.closed {
            let Some((tenant, turn)) = state.shares.next() else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
                continue;
            };
            if state.idle > 0 && state.shares.somebody_waits() {
                self.work.notify_one();
            }
            drop(state);
            let began = on_cpu();
            turn.run();
            let used = on_cpu().saturating_sub(began);
            // Who serves sockets goes first. A lower priority would do the same, and
            // would let every other program of the machine go first, too.
            way.make(used);
            state = self.state.lock();
            state.shares.used(&tenant, used, self.now());
            self.note_who_is_alone(&state);
        }
    }

    fn note_who_is_alone(&self, state: &State) {
        let alone = state.shares.alone().map_or(NOBODY, number);
        if self.alone.load(Ordering::Relaxed) != alone {
            self.alone.store(alone, Ordering::Relaxed);
        }
    }

    fn now(&self) -> Duration {
        self.born.elapsed()
    }
}

/// What this thread has used of the CPU: other than the time of day, it stands
/// still while the thread is kept from running.
pub(super) fn on_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A call in the pool. It finds the sockets and timers of the runtime that it
/// comes from, also when it is dropped.
struct Pooled<F> {
    call: Option<Pin<Box<F>>>,
    runtime: Handle,
}

impl<F: Future> Future for Pooled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { call, runtime } = &mut *self;
        let _here = runtime.enter();
        match call {
            Some(call) => call.as_mut().poll(context),
            None => Poll::Pending, // gone only when dropped
        }
    }
}

impl<F> Drop for Pooled<F> {
    fn drop(&mut self) {
        let _here = self.runtime.enter();
        self.call = None;
    }
}
