//! Runs: accepted durably, carried step by step, finished, taken up again
//! after a crash.
//!
//! Takes messages and the workflows they start; gives ids once they are
//! durable, and later how each run ended. Guests are run by whoever implements
//! [`Guests`]; nothing here knows wasm or HTTP.
//!
//! Invariants
//! - What was accepted is in the store until it has ended; memory is a cache of it.
//! - Nothing leaves the host before what it follows from is recorded, so a
//!   replay shows a guest the same wherever anybody could tell.
//! - Only a run's [`perform::Writer`] writes the run, at the version it knows;
//!   whoever lost track reads again.
//! - The host's own failures never end a run; they leave it accepted.

mod accept;
mod ask;
mod attend;
mod backlog;
mod children;
mod dead;
mod deadline;
mod events;
mod execute;
mod guests;
mod idempotency;
mod intents;
mod journal;
mod keys;
mod ledger;
mod once;
mod park;
mod perform;
mod places;
mod query;
mod record;
pub mod repair;
mod retention;
mod retry;
mod script;
mod search;
mod settings;
mod shelf;
mod step_test;
mod tail;
#[cfg(test)]
mod tests;
mod wake;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use host_model::clock::Clock;
use host_store::{Blobs, Store};
use tokio::sync::Semaphore;

pub use host_model::search::Filter;

pub use self::accept::{AcceptError, Accepted, MAX_RUNS, NewRun};
pub use self::backlog::RecoverError;
pub use self::dead::{DismissError, LetterPage, Letters};
pub use self::events::{DeliverError, MAX_EVENTS};
pub use self::guests::{EndpointCall, Guests, HostFailure, NoRoom, Room};
pub use self::idempotency::{Idempotency, MAX_KEY};
pub use self::once::Once;
pub use self::query::{ReadError, RunPage, StepPage};
pub use self::settings::{Backoff, Settings};
pub use self::step_test::{StepTest, StepTestError};

use self::places::Places;
use self::repair::{Lease, Live};
use self::settings::Stops;
use self::shelf::Shelf;

/// The runs of one host.
pub struct Runs {
    shelf: Shelf,
    clock: Arc<dyn Clock>,
    guests: Arc<dyn Guests>,
    settings: Settings,
    places: Arc<Places>,
    stops: Stops,
    /// Tells this process from those before it.
    process: u64,
    /// Says to other processes that this one has not died.
    lease: Lease,
    /// The attempts in memory.
    live: Live,
    /// Runs that may have ended the host before go one at a time.
    suspects: Semaphore,
    /// Whether parked runs are woken.
    waking: AtomicBool,
    me: Weak<Self>,
}

impl Runs {
    /// Ready to accept. Call it in the tokio runtime on which runs are to be
    /// carried; call [`Runs::recover`] next.
    ///
    /// `payloads` is for the runs alone: what no run has any more is removed.
    /// The definitions of workflows are in `blobs`.
    pub fn new(
        store: Arc<dyn Store>,
        payloads: Blobs,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        guests: Arc<dyn Guests>,
        settings: Settings,
    ) -> Arc<Self> {
        let process = u64::from_be_bytes(random());
        let runs = Arc::new_cyclic(|me| Self {
            lease: Lease::new(process, &store, &clock, &settings),
            live: Live::default(),
            shelf: Shelf { store, payloads, blobs },
            clock,
            guests,
            places: Places::new(settings.max_in_memory),
            settings,
            stops: Stops::here(),
            process,
            suspects: Semaphore::new(1),
            waking: AtomicBool::new(false),
            me: me.clone(),
        });
        runs.stops.spawn(backlog::dispatch(
            Arc::downgrade(&runs),
            Arc::clone(&runs.places),
            runs.stops.clone(),
        ));
        runs
    }

    /// Stops: accepts nothing more, parks what only waits, lets the rest end.
    /// `true` if it did within `grace`; otherwise it was cut. What was parked
    /// or cut stays accepted and goes on at the next start.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.stops.drain.cancel();
        self.stops.tasks.close();
        let clean = tokio::time::timeout(grace, self.stops.tasks.wait()).await.is_ok();
        self.stops.now.cancel();
        self.stops.tasks.wait().await;
        self.lease.release().await;
        clean
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.stops.drain.cancel();
    }
}

/// Random bytes.
#[expect(clippy::expect_used, reason = "a system without a random source can make no id at all")]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source works from boot on");
    bytes
}
