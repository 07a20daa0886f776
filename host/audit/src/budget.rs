//! How much a tenant's own people may make the log grow.
//!
//! Invariants
//! - Past its budget a tenant waits, and no other one does.
//! - What is only told (refusals, calls) never takes the half that changes need.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::name::TenantId;

/// Entries at once: the largest file that can be applied, three times.
const BURST: i32 = 3_000;
/// How long until there is one more: 86,400 a day, some 100 MB.
const REGAIN: TimeDelta = TimeDelta::seconds(1);

/// For each tenant, when its budget is whole again. One place for each tenant
/// that changed something since the start.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<HashMap<TenantId, Timestamp>>);

impl Budget {
    /// How long this tenant has to wait, if it has.
    pub(crate) fn wait(&self, tenant: &TenantId, now: Timestamp) -> Option<Duration> {
        (self.spent(tenant, now) - REGAIN * (BURST - 1)).to_std().ok().filter(|wait| !wait.is_zero())
    }

    /// Whether more than half of it is left.
    pub(crate) fn has_half(&self, tenant: &TenantId, now: Timestamp) -> bool {
        self.spent(tenant, now) < REGAIN * (BURST / 2)
    }

    /// Takes some. A change that is larger than what is left is made, and waited for later.
    pub(crate) fn spend(&self, tenant: &TenantId, entries: usize, now: Timestamp) {
        let whole = now + self.spent(tenant, now) + REGAIN * i32::try_from(entries).unwrap_or(i32::MAX);
        self.lock().insert(tenant.clone(), whole);
    }

    /// As time. A clock that was set back keeps nobody waiting for longer than twice the burst.
    fn spent(&self, tenant: &TenantId, now: Timestamp) -> TimeDelta {
        let whole = self.lock().get(tenant).copied().unwrap_or(now);
        (whole - now).clamp(TimeDelta::zero(), REGAIN * (2 * BURST))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_past_its_budget_waits_and_its_neighbour_does_not() {
        let (budget, now) = (Budget::default(), Timestamp::UNIX_EPOCH);
        let (acme, globex): (TenantId, TenantId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        budget.spend(&acme, 1_000, now);
        assert!(budget.has_half(&acme, now) && budget.wait(&acme, now).is_none());
        budget.spend(&acme, 1_000, now);
        assert!(!budget.has_half(&acme, now) && budget.wait(&acme, now).is_none());
        budget.spend(&acme, 1_000, now);
        assert_eq!(budget.wait(&acme, now), Some(Duration::from_secs(1)));
        assert_eq!(budget.wait(&acme, now + REGAIN), None);
        assert!(budget.wait(&globex, now).is_none() && budget.has_half(&globex, now));
        budget.spend(&acme, usize::MAX, now);
        assert!(budget.wait(&acme, now).unwrap() <= Duration::from_secs(6_000));
    }
}
