//! Time is asked for, never taken: tests hold it still and move it by hand.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// An instant in UTC.
pub type Timestamp = DateTime<Utc>;

/// The only way to learn the time of day and to wait for one.
///
/// `SystemTime::now` and `Utc::now` are clippy errors elsewhere. Deadlines of
/// live I/O (a socket, a guest) are not time of day and use tokio's timers.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Completes when `now` reaches `until`; at once if it has.
    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Time for tests: stands still until told to move.
#[derive(Clone)]
pub struct SimClock(Arc<Mutex<Sim>>);

struct Sim {
    now: Timestamp,
    sleepers: Vec<(Timestamp, Waker)>,
}

impl SimClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Sim { now, sleepers: Vec::new() })))
    }

    /// Moves the clock on and wakes those who waited for it.
    pub fn advance(&self, by: Duration) {
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        let now = self.now().checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.set(now);
    }

    /// Sets the clock, also backwards, and wakes whoever is due.
    pub fn set(&self, now: Timestamp) {
        let mut sim = self.lock();
        sim.now = now;
        let (due, later) =
            std::mem::take(&mut sim.sleepers).into_iter().partition(|(until, _)| *until <= now);
        sim.sleepers = later;
        drop(sim);
        let due: Vec<(Timestamp, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The earliest instant that anybody waits for.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.lock().sleepers.iter().map(|(until, _)| *until).min()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep_until(&self, until: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(poll_fn(move |context| {
            let mut sim = self.lock();
            if sim.now >= until {
                return Poll::Ready(());
            }
            sim.sleepers.push((until, context.waker().clone()));
            Poll::Pending
        }))
    }
}
