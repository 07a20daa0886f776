//! Quotas fitted to the rest of the host: what the store counts, what outlives
//! a restart, and how control, runs and the sandbox ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host_admission::{Booking, Day, Quotas, Stock};
use host_control::ports::Usage;
use host_model::name::TenantId;
use host_model::quota::{QuotaPassed, QuotaUse};
use host_model::resource::TenantSpec;
use host_routing::Routes;
use host_runs::Room;
use host_sandbox::Tolls;
use host_store::key::{self, RUN_PENDING};
use host_store::{Commit, SledStore, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often what was counted is kept. A crash forgets what was counted since,
/// so it gives a tenant at most what can be used in this time, once more.
const EVERY: Duration = Duration::from_secs(5);
/// Tenants in one commit: far below what a commit takes.
const AT_ONCE: usize = 200;

/// What tenants keep, as the store counts it, and what they have set up.
pub(crate) struct Kept {
    pub(crate) store: Arc<SledStore>,
    pub(crate) routes: Arc<Routes>,
}

impl Stock for Kept {
    fn stored_bytes(&self, tenant: &TenantId) -> u64 {
        self.store.tally(&key::tenant(tenant).prefix()).bytes
    }

    fn runs_pending(&self, tenant: &TenantId) -> u64 {
        self.store.tally(&key::host().kind(RUN_PENDING).name(tenant.as_str()).prefix()).entries
    }

    fn packages(&self, tenant: &TenantId) -> u64 {
        self.routes.packages(tenant) as u64
    }
}

/// Control's view.
pub(crate) struct UsageView(pub(crate) Quotas);

impl Usage for UsageView {
    fn usage(&self, tenant: &TenantId) -> Vec<QuotaUse> {
        self.0.usage(tenant)
    }
}

/// The sandbox's view.
pub(crate) struct Tolled(pub(crate) Quotas);

impl Tolls for Tolled {
    fn log(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed> {
        self.0.log(tenant, bytes)
    }

    fn memory(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed> {
        self.0.memory(tenant, bytes)
    }

    fn memory_free(&self, tenant: &TenantId, bytes: u64) {
        self.0.memory_free(tenant, bytes);
    }
}

/// Room for runs, as runs hold it.
pub(crate) struct Booked(pub(crate) Booking);

impl Room for Booked {
    fn keep(self: Box<Self>) {
        self.0.keep();
    }
}

/// What tenants have of their own, as their documents say.
pub(crate) fn set_own(quotas: &Quotas, tenants: &[Arc<TenantSpec>]) {
    let own = tenants.iter().filter(|tenant| !tenant.quotas.is_empty());
    quotas.set_own(own.map(|tenant| (tenant.name.clone(), tenant.quotas)).collect::<HashMap<_, _>>());
}

/// Takes up what was counted before the host stopped.
pub(crate) async fn restore(
    quotas: &Quotas,
    store: &dyn Store,
    tenants: &[Arc<TenantSpec>],
) -> Result<(), StoreError> {
    for tenant in tenants {
        if let Some(entry) = store.get(&day_key(&tenant.name)).await?
            && let Some(today) = read(&entry.value)
        {
            quotas.restore(&tenant.name, today);
        }
    }
    Ok(())
}

/// Keeps what is counted, until it is told to stop, and once more then.
pub(crate) async fn keep(quotas: Quotas, store: Arc<dyn Store>, stop: CancellationToken) {
    loop {
        let stopped = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
        let changed = quotas.take_changed();
        for some in changed.chunks(AT_ONCE) {
            let commit = some.iter().fold(Commit::default(), |commit, (tenant, today)| {
                commit.put(day_key(tenant), written(*today))
            });
            if let Err(error) = store.commit(commit).await {
                tracing::warn!(%error, "what tenants used today could not be kept; it is tried again with what they use next");
            }
        }
        if stopped {
            return;
        }
    }
}

fn day_key(tenant: &TenantId) -> key::Key {
    key::host().kind("quota-day").name(tenant.as_str())
}

fn written(today: Day) -> Vec<u8> {
    [today.day.to_be_bytes(), today.runs.to_be_bytes(), today.log_bytes.to_be_bytes()].concat()
}

fn read(bytes: &[u8]) -> Option<Day> {
    let (day, rest) = bytes.split_first_chunk()?;
    let (runs, rest) = rest.split_first_chunk()?;
    Some(Day {
        day: i64::from_be_bytes(*day),
        runs: u64::from_be_bytes(*runs),
        log_bytes: u64::from_be_bytes(*rest.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use host_model::clock::SimClock;
    use host_model::quota::QuotasSpec;
    use host_store::MemoryStore;

    use super::*;

    struct Nothing;

    impl Stock for Nothing {
        fn stored_bytes(&self, _: &TenantId) -> u64 {
            0
        }

        fn runs_pending(&self, _: &TenantId) -> u64 {
            0
        }

        fn packages(&self, _: &TenantId) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn what_was_used_today_is_known_after_a_restart() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(SimClock::at("2026-11-21T12:00:00Z".parse().unwrap()));
        let quotas = || Quotas::new(QuotasSpec::default(), clock.clone(), Arc::new(Nothing), Arc::new(()));
        let spec: TenantSpec = serde_json::from_value(serde_json::json!({ "name": "acme" })).unwrap();
        let (before, stop) = (quotas(), CancellationToken::new());
        before.book(&spec.name, 3, 0).unwrap().keep();
        before.log(&spec.name, 40).unwrap();
        stop.cancel();
        keep(before.clone(), store.clone(), stop).await;
        let after = quotas();
        restore(&after, &*store, &[Arc::new(spec.clone())]).await.unwrap();
        assert_eq!(after.usage(&spec.name), before.usage(&spec.name));
    }
}
