//! A place, and waiting for one.

use std::fmt;
use std::sync::Arc;

use host_model::name::TenantId;
use tokio::sync::oneshot;

use crate::pools::{Lane, Pools};

/// Permission to run one thing of one tenant.
#[must_use = "dropping it gives the place back"]
pub struct Place {
    pools: Arc<Pools>,
    tenant: TenantId,
    lane: Lane,
}

impl Place {
    /// Only [`Pools`] calls this, after it has counted the place as taken.
    pub(crate) fn taken(pools: Arc<Pools>, tenant: TenantId, lane: Lane) -> Self {
        Self { pools, tenant, lane }
    }
}

/// Runs on return, on error, on panic and on cancel alike.
impl Drop for Place {
    fn drop(&mut self) {
        self.pools.give_back(&self.tenant, self.lane);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("tenant", &self.tenant).field("lane", &self.lane).finish()
    }
}

/// A seat in a tenant's line. Whoever stops waiting leaves it by dropping this.
pub(crate) struct Seat<'a> {
    pub(crate) pools: &'a Arc<Pools>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) lane: Lane,
    pub(crate) number: u64,
    /// Dropped after the seat is left, so a place that arrives meanwhile is given back.
    pub(crate) arrives: oneshot::Receiver<Place>,
}

impl Seat<'_> {
    /// The place when it comes; `None` if the host is draining.
    pub(crate) async fn place(&mut self) -> Option<Place> {
        (&mut self.arrives).await.ok()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.pools.leave(self.tenant, self.lane, self.number);
    }
}
