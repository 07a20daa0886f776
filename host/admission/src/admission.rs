//! The stage's face.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use host_model::name::TenantId;
use host_routing::Routed;

use crate::place::Place;
use crate::pools::{Asked, Counts, Lane, Pools};

/// The least that a refused caller is told to wait: `Retry-After` counts whole
/// seconds, and 0 would invite a busy loop.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one tenant may have going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once, and as many runs, unless the tenant has a limit of its own.
    pub calls_per_tenant: NonZeroUsize,
    /// Calls that may wait for a place. Each holds a connection and its request
    /// in memory, so this is a bound on those.
    pub waiting_per_tenant: usize,
    /// How long a call may wait for a place before it is refused.
    pub wait: Duration,
}

/// A routed request that may run now. Only [`Admission::admit`] makes one, so
/// a function that takes `Admitted` needs no check of its own.
#[must_use = "dropping it gives the place back"]
#[derive(Debug)]
pub struct Admitted {
    /// What runs.
    pub routed: Routed,
    /// Held, not read.
    place: Place,
}

impl Admitted {
    /// Apart: for a streamed answer, whose place is held until its last byte.
    pub fn split(self) -> (Routed, Place) {
        (self.routed, self.place)
    }
}

/// Why a call may not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The tenant has as many calls going on as it may.
    #[error("the tenant has as many calls going on as it may: try again in {} s", retry_after.as_secs())]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// The host is about to stop.
    #[error("the host is about to stop: try again at another, or when it is back")]
    Draining,
}

/// The host is about to stop and starts nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host is about to stop")]
pub struct Draining;

/// Gives out places. Cheap to clone; clones share the places.
#[derive(Clone)]
pub struct Admission {
    limits: Limits,
    pools: Arc<Pools>,
}

impl Admission {
    /// All places free.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pools: Arc::default() }
    }

    /// Admits a routed request: see [`Admission::call`].
    pub async fn admit(&self, routed: Routed) -> Result<Admitted, Refused> {
        let place = self.call(&routed.tenant, routed.concurrency).await?;
        Ok(Admitted { routed, place })
    }

    /// A place for one call. Waits at most [`Limits::wait`] and with at most
    /// [`Limits::waiting_per_tenant`] others.
    pub async fn call(&self, tenant: &TenantId, concurrency: Option<NonZeroU32>) -> Result<Place, Refused> {
        let busy = Refused::Busy { retry_after: self.limits.wait.max(LEAST_RETRY_AFTER) };
        let places = self.places(concurrency);
        let seats = self.limits.waiting_per_tenant;
        match self.pools.ask(tenant, Lane::Calls, places, seats) {
            Asked::Placed(place) => Ok(place),
            Asked::Seated(mut seat) => match tokio::time::timeout(self.limits.wait, seat.place()).await {
                Ok(Some(place)) => Ok(place),
                Ok(None) => Err(Refused::Draining),
                Err(_) => Err(busy),
            },
            Asked::Full => Err(busy),
            Asked::Draining => Err(Refused::Draining),
        }
    }

    /// Waits for a place for an accepted run, as long as it takes. Runs have as
    /// many places as calls, but their own: a backlog of runs leaves its tenant
    /// able to accept, and a call that waits for a run cannot block it.
    pub async fn place(&self, tenant: &TenantId, concurrency: Option<NonZeroU32>) -> Result<Place, Draining> {
        match self.pools.ask(tenant, Lane::Runs, self.places(concurrency), usize::MAX) {
            Asked::Placed(place) => Ok(place),
            Asked::Seated(mut seat) => seat.place().await.ok_or(Draining),
            Asked::Full | Asked::Draining => Err(Draining),
        }
    }

    /// Starts nothing new from now on, sends away who waits, and waits until
    /// every place is given back. `false` if that took longer than `grace`.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.pools.close();
        tokio::time::timeout(grace, self.pools.emptied()).await.is_ok()
    }

    /// Completes when draining starts, for a call that waits for a run which
    /// then may not come to its turn any more.
    pub async fn draining(&self) {
        self.pools.closed().await;
    }

    /// How much is going on.
    pub fn counts(&self) -> Counts {
        self.pools.counts()
    }

    fn places(&self, own: Option<NonZeroU32>) -> usize {
        own.map_or(self.limits.calls_per_tenant.get(), |own| own.get() as usize)
    }
}
