//! The keys of runs.
//!
//! Records sort newest first: their key has the run's id with every bit
//! turned, so that a list is one scan and one run is one get. Pending runs are
//! the host's own list, oldest first, tenant by tenant.

use bytes::Bytes;
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_store::key;

fn turned(id: RunId) -> [u8; 16] {
    id.to_bytes().map(|byte| !byte)
}

/// The records of a tenant, newest first.
pub(crate) fn records(tenant: &TenantId) -> Bytes {
    key::tenant(tenant).kind("run").prefix()
}

/// The record of a run.
pub(crate) fn record(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run").bytes(&turned(id)).into()
}

/// What a run started with.
pub(crate) fn given(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-given").bytes(&id.to_bytes()).into()
}

/// What a run says to whoever waits for it: its reply, its ending.
pub(crate) fn told(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-told").bytes(&id.to_bytes()).prefix()
}

/// The early answer of a run.
pub(crate) fn reply(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-told").bytes(&id.to_bytes()).bytes(&[0]).into()
}

/// How a run ended.
pub(crate) fn ending(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-told").bytes(&id.to_bytes()).bytes(&[1]).into()
}

/// The steps of a run, in the order that it asked.
pub(crate) fn steps(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("step").bytes(&id.to_bytes()).prefix()
}

/// A step of a run.
pub(crate) fn step(tenant: &TenantId, id: RunId, number: u32) -> Bytes {
    key::tenant(tenant).kind("step").bytes(&id.to_bytes()).bytes(&number.to_be_bytes()).into()
}

/// Every run that has not ended, of every tenant.
pub(crate) fn all_pending() -> Bytes {
    key::host().kind("run-pending").prefix()
}

/// The runs of a tenant that have not ended, oldest first.
pub(crate) fn pending_of(tenant: &TenantId) -> Bytes {
    key::host().kind("run-pending").name(tenant.as_str()).prefix()
}

/// A run that has not ended.
pub(crate) fn pending(tenant: &TenantId, id: RunId) -> Bytes {
    key::host().kind("run-pending").name(tenant.as_str()).bytes(&id.to_bytes()).into()
}

/// Whose and which run a pending key is about.
pub(crate) fn parse_pending(found: &[u8]) -> Option<(TenantId, RunId)> {
    let (tenant, id) = key::tail(&all_pending(), found)?.split_last_chunk::<16>()?;
    let tenant = std::str::from_utf8(tenant.strip_suffix(&[0])?).ok()?;
    Some((tenant.parse().ok()?, RunId::from_bytes(*id)))
}

/// The leases of processes.
pub(crate) fn leases() -> Bytes {
    key::host().kind("lease").prefix()
}

/// The lease of a process.
pub(crate) fn lease(process: u64) -> Bytes {
    key::host().kind("lease").bytes(&process.to_be_bytes()).into()
}

/// Whose lease a key is.
pub(crate) fn parse_lease(found: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key::tail(&leases(), found)?.try_into().ok()?))
}

/// What is remembered of an idempotency key, by its hash.
pub(crate) fn idempotency(tenant: &TenantId, hash: &[u8; 32]) -> Bytes {
    key::tenant(tenant).kind("idempotency").bytes(hash).into()
}

/// When idempotency keys may be forgotten, earliest first.
pub(crate) fn expiries() -> Bytes {
    key::host().kind("idempotency-expiry").prefix()
}

/// When an idempotency key may be forgotten.
pub(crate) fn expiry(at: Timestamp, hash: &[u8; 32]) -> Bytes {
    let ms = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    key::host().kind("idempotency-expiry").bytes(&ms.to_be_bytes()).bytes(hash).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn id(ms: i64) -> RunId {
        RunId::new(DateTime::from_timestamp_millis(ms).unwrap(), [7; 10])
    }

    #[test]
    fn records_sort_newest_first_and_pending_runs_oldest_first() {
        let acme: TenantId = "acme".parse().unwrap();
        assert!(record(&acme, id(2)) < record(&acme, id(1)));
        assert!(pending(&acme, id(2)) > pending(&acme, id(1)));
        assert!(step(&acme, id(1), 256) > step(&acme, id(1), 255));
    }

    #[test]
    fn a_pending_key_tells_whose_run_it_is() {
        let acme: TenantId = "acme-2".parse().unwrap();
        assert_eq!(parse_pending(&pending(&acme, id(2))), Some((acme, id(2))));
        assert_eq!(parse_pending(b"elsewhere"), None);
    }
}
