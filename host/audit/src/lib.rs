//! The audit log: who did what to what, in chains that show whether anybody
//! changed them afterwards.
//!
//! Takes a change as a commit, and what it does as [`Deed`]s; gives the store
//! one commit with both. Reads the chains back for searches, exports and whoever
//! verifies them.
//!
//! Invariants
//! - A chain has no gap: an entry names the hash of the one before it, and the
//!   chain's head the last one.
//! - Each tenant has a chain of its own, so that nobody's flood delays another's
//!   changes, and a tenant's chain is verified without reading another's.
//! - What strangers and refused callers can make it write is bounded.
//! - No secret's value is in a [`Deed`]; whoever makes one sees to that.

#![forbid(unsafe_code)]

mod act;
mod append;
mod budget;
mod chain;
mod entry;
mod keep;
mod repeats;
mod search;
mod shown;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host_model::clock::Clock;
use host_model::name::TenantId;
use host_store::Store;
use tokio_util::task::TaskTracker;

pub use self::act::{Act, Actor, Deed, RequestId};
pub use self::chain::{Chain, Head};
pub use self::entry::{Entry, Outcome};
pub use self::search::{Cursor, Found, Lines, Search, Which};
pub use self::shown::Shown;
pub use self::verify::{Broken, Verified};

use self::budget::Budget;
use self::repeats::Repeats;

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Entries older than this are removed.
    pub keep: Duration,
    /// The most entries of one tenant's chain; beyond, the oldest are removed.
    pub tenant_entries: u64,
}

impl Default for Settings {
    /// A year and a month, so that a yearly review sees a whole year; of one
    /// tenant 100,000 entries, which are some 100 MB.
    fn default() -> Self {
        Self { keep: Duration::from_secs(400 * 86_400), tenant_entries: 100_000 }
    }
}

/// The log.
pub struct Audit {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// One writer of a chain at a time in this host; the chain's head keeps hosts apart.
    turns: Mutex<HashMap<Chain, Arc<tokio::sync::Mutex<()>>>>,
    budget: Budget,
    repeats: Repeats,
    /// One verification at a time: each reads all there is.
    verifying: tokio::sync::Mutex<()>,
    /// What must come to its end although whoever asked has gone.
    tasks: TaskTracker,
}

impl Audit {
    /// The log in this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let (budget, repeats) = (Budget::default(), Repeats::default());
        let (turns, verifying, tasks) = Default::default();
        Self { store, clock, settings, turns, budget, repeats, verifying, tasks }
    }

    /// How long a tenant has to wait before it may change more, if it changed too much.
    pub fn wait(&self, tenant: &TenantId) -> Option<Duration> {
        self.budget.wait(tenant, self.clock.now())
    }

    /// Where to run what changes something, so that its entry is written also
    /// when whoever asked goes away.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn turn(&self, chain: &Chain) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(chain.clone()).or_default())
    }
}
