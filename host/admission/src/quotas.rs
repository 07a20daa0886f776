//! What each tenant used of its quotas, and whether there is room for more.
//!
//! Periods are counted here; what is kept is asked of the [`Stock`], which
//! counts it exactly. What is on its way into the store is booked, so that
//! callers at the same moment cannot pass a limit together.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host_model::clock::{Clock, Timestamp};
use host_model::name::TenantId;
use host_model::notice::{Notice, Notices};
use host_model::quota::{Quota, QuotaPassed, QuotaUse, QuotasSpec};

const DAY_S: i64 = 24 * 60 * 60;
const MINUTE_S: i64 = 60;
/// When a quota that has no period is worth another try: something may have ended.
const TRY_AGAIN_S: u64 = 30;
/// How soon a tenant hears of the same quota again: use may go up and down
/// around four fifths a thousand times a second.
const TELL_AGAIN_S: i64 = 10 * MINUTE_S;

/// What a tenant keeps, counted elsewhere.
pub trait Stock: Send + Sync + 'static {
    /// Bytes in the store.
    fn stored_bytes(&self, tenant: &TenantId) -> u64;

    /// Runs that have not ended.
    fn runs_pending(&self, tenant: &TenantId) -> u64;

    /// Versions of packages that its connections and workflows name.
    fn packages(&self, tenant: &TenantId) -> u64;
}

/// What was counted for a tenant in a day: kept, so that a restart does not begin a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970.
    pub day: i64,
    /// Runs accepted.
    pub runs: u64,
    /// Bytes of log text.
    pub log_bytes: u64,
}

/// Counts. Cheap to clone; clones share what they count.
#[derive(Clone)]
pub struct Quotas(Arc<Inner>);

struct Inner {
    /// The operator's.
    usual: QuotasSpec,
    clock: Arc<dyn Clock>,
    stock: Arc<dyn Stock>,
    notices: Arc<dyn Notices>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What tenants have of their own.
    own: HashMap<TenantId, QuotasSpec>,
    counted: HashMap<TenantId, Counted>,
}

#[derive(Default)]
struct Counted {
    today: Day,
    /// Differs from what is kept.
    changed: bool,
    minute: i64,
    outbound: u64,
    /// On its way into the store.
    booked_runs: u64,
    booked_bytes: u64,
    /// Of the calls that are going on.
    memory: u64,
    /// Those of which the tenant heard that they are nearly used up, and when, in seconds since 1970.
    told: Vec<(Quota, i64)>,
}

impl Counted {
    /// Begins the periods anew that are over.
    fn at(&mut self, now: Timestamp) -> &mut Self {
        let (day, minute) = (now.timestamp().div_euclid(DAY_S), now.timestamp().div_euclid(MINUTE_S));
        if self.today.day != day {
            self.today = Day { day, ..Day::default() };
        }
        if self.minute != minute {
            (self.minute, self.outbound) = (minute, 0);
        }
        self
    }

    fn used(&self, quota: Quota, tenant: &TenantId, stock: &dyn Stock) -> u64 {
        match quota {
            Quota::RunsPerDay => self.today.runs,
            Quota::RunsPending => stock.runs_pending(tenant).saturating_add(self.booked_runs),
            Quota::StoredBytes => stock.stored_bytes(tenant).saturating_add(self.booked_bytes),
            Quota::OutboundPerMinute => self.outbound,
            Quota::LogBytesPerDay => self.today.log_bytes,
            Quota::MemoryBytes => self.memory,
            Quota::Packages => stock.packages(tenant),
        }
    }
}

/// Room for runs that are about to be committed. Dropped, it gives back what
/// was not [kept](Booking::keep).
#[must_use = "dropped before the commit it holds no room"]
pub struct Booking {
    quotas: Quotas,
    tenant: TenantId,
    day: i64,
    runs: u64,
    bytes: u64,
    kept: bool,
}

impl Booking {
    /// The runs are committed: they stay counted.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let mut state = self.quotas.lock();
        let Some(counted) = state.counted.get_mut(&self.tenant) else { return };
        // From here on the stock has them, or nobody.
        counted.booked_runs = counted.booked_runs.saturating_sub(self.runs);
        counted.booked_bytes = counted.booked_bytes.saturating_sub(self.bytes);
        if !self.kept && counted.today.day == self.day {
            counted.today.runs = counted.today.runs.saturating_sub(self.runs);
        }
    }
}

impl Quotas {
    /// Nothing is used. `usual` are the operator's defaults; a tenant hears
    /// through `notices` of what is nearly used up.
    pub fn new(
        usual: QuotasSpec,
        clock: Arc<dyn Clock>,
        stock: Arc<dyn Stock>,
        notices: Arc<dyn Notices>,
    ) -> Self {
        Self(Arc::new(Inner { usual, clock, stock, notices, state: Mutex::default() }))
    }

    /// Sets what tenants have of their own, lower or higher than the operator's
    /// defaults; who is not among them has those.
    pub fn set_own(&self, own: HashMap<TenantId, QuotasSpec>) {
        self.lock().own = own;
    }

    /// Room for so many runs of about so many bytes together.
    pub fn book(&self, tenant: &TenantId, runs: u64, bytes: u64) -> Result<Booking, QuotaPassed> {
        let mut guard = self.lock();
        self.take(
            &mut guard,
            tenant,
            &[(Quota::StoredBytes, bytes), (Quota::RunsPending, runs), (Quota::RunsPerDay, runs)],
        )?;
        let day = guard.counted.get(tenant).map_or(0, |counted| counted.today.day);
        Ok(Booking { quotas: self.clone(), tenant: tenant.clone(), day, runs, bytes, kept: false })
    }

    /// Counts one request to an outside system.
    pub fn outbound(&self, tenant: &TenantId) -> Result<(), QuotaPassed> {
        self.take(&mut self.lock(), tenant, &[(Quota::OutboundPerMinute, 1)])
    }

    /// Counts log text; what passes the quota is not to be kept.
    pub fn log(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed> {
        self.take(&mut self.lock(), tenant, &[(Quota::LogBytesPerDay, bytes)])
    }

    /// Counts memory that a call wants more of.
    pub fn memory(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed> {
        self.take(&mut self.lock(), tenant, &[(Quota::MemoryBytes, bytes)])
    }

    /// Memory that was counted and is free again.
    pub fn memory_free(&self, tenant: &TenantId, bytes: u64) {
        if let Some(counted) = self.lock().counted.get_mut(tenant) {
            counted.memory = counted.memory.saturating_sub(bytes);
        }
    }

    /// How a tenant stands.
    pub fn usage(&self, tenant: &TenantId) -> Vec<QuotaUse> {
        let (mut guard, now) = (self.lock(), self.0.clock.now());
        let state = &mut *guard;
        let counted = state.counted.entry(tenant.clone()).or_default().at(now);
        let own = state.own.get(tenant).copied().unwrap_or_default();
        let each = Quota::ALL.into_iter().map(|quota| {
            let (used, limit) = (counted.used(quota, tenant, &*self.0.stock), self.limit(own, quota));
            QuotaUse { quota, used, limit, near: is_near(used, limit), resets_at: resets_at(quota, now) }
        });
        each.collect()
    }

    /// Takes up what was counted before a restart. An earlier day is over.
    pub fn restore(&self, tenant: &TenantId, today: Day) {
        let (mut state, now) = (self.lock(), self.0.clock.now());
        let counted = state.counted.entry(tenant.clone()).or_default().at(now);
        if counted.today.day == today.day {
            counted.today.runs = counted.today.runs.saturating_add(today.runs);
            counted.today.log_bytes = counted.today.log_bytes.saturating_add(today.log_bytes);
        }
    }

    /// What changed since this was asked last, to be kept.
    pub fn take_changed(&self) -> Vec<(TenantId, Day)> {
        let mut state = self.lock();
        let changed = state.counted.iter_mut().filter(|(_, counted)| counted.changed);
        changed
            .map(|(tenant, counted)| {
                counted.changed = false;
                (tenant.clone(), counted.today)
            })
            .collect()
    }

    /// Takes all of these, or none.
    fn take(&self, state: &mut State, tenant: &TenantId, wanted: &[(Quota, u64)]) -> Result<(), QuotaPassed> {
        let now = self.0.clock.now();
        if !state.counted.contains_key(tenant) {
            state.counted.insert(tenant.clone(), Counted::default());
        }
        let Some(counted) = state.counted.get_mut(tenant) else { return Ok(()) }; // inserted just above
        counted.at(now);
        let own = state.own.get(tenant).copied().unwrap_or_default();
        for &(quota, more) in wanted {
            let (used, limit) = (counted.used(quota, tenant, &*self.0.stock), self.limit(own, quota));
            let would = used.saturating_add(more);
            if would > limit {
                let retry_after_s = resets_at(quota, now)
                    .and_then(|at| u64::try_from((at - now).num_seconds()).ok())
                    .map_or(TRY_AGAIN_S, |left| left + 1);
                return Err(QuotaPassed { quota, used, limit, retry_after_s });
            }
            // As it was before, since a tenant may go from little to much at once.
            if !is_near(used, limit) {
                counted.told.retain(|(told, at)| *told != quota || now.timestamp() - at < TELL_AGAIN_S);
            }
            if is_near(would, limit) && !counted.told.iter().any(|(told, _)| *told == quota) {
                counted.told.push((quota, now.timestamp()));
                self.0.notices.tell(tenant, Notice::QuotaNear { quota, used: would, limit });
            }
        }
        for &(quota, more) in wanted {
            match quota {
                Quota::RunsPerDay => counted.today.runs += more,
                Quota::RunsPending => counted.booked_runs += more,
                Quota::StoredBytes => counted.booked_bytes += more,
                Quota::OutboundPerMinute => counted.outbound += more,
                Quota::LogBytesPerDay => counted.today.log_bytes += more,
                Quota::MemoryBytes => counted.memory += more,
                Quota::Packages => {} // nobody takes these: what is set up is counted
            }
            counted.changed |= matches!(quota, Quota::RunsPerDay | Quota::LogBytesPerDay);
        }
        Ok(())
    }

    fn limit(&self, own: QuotasSpec, quota: Quota) -> u64 {
        own.limit(quota, &self.0.usual)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Four fifths.
fn is_near(used: u64, limit: u64) -> bool {
    used.saturating_mul(5) >= limit.saturating_mul(4)
}

fn resets_at(quota: Quota, now: Timestamp) -> Option<Timestamp> {
    let period = match quota {
        Quota::RunsPerDay | Quota::LogBytesPerDay => DAY_S,
        Quota::OutboundPerMinute => MINUTE_S,
        Quota::RunsPending | Quota::StoredBytes | Quota::MemoryBytes | Quota::Packages => return None,
    };
    Timestamp::from_timestamp((now.timestamp().div_euclid(period) + 1) * period, 0)
}
