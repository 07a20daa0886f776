//! The keys of runs.
//!
//! Records sort newest first: their key has the run's id with every bit
//! turned, so that a list is one scan and one run is one get. Pending runs are
//! the host's own list, oldest first, tenant by tenant.

use bytes::Bytes;
use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::name::{EventName, TenantId};
use host_store::key;

/// The bytes of an id in the keys of lists that are newest first.
pub(crate) fn turned(id: RunId) -> [u8; 16] {
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

/// The tries of a run's steps that are not done.
pub(crate) fn all_tries(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-tries").bytes(&id.to_bytes()).prefix()
}

/// The tries of a step that is not done.
pub(crate) fn tries(tenant: &TenantId, id: RunId, step: u32) -> Bytes {
    key::tenant(tenant).kind("run-tries").bytes(&id.to_bytes()).bytes(&step.to_be_bytes()).into()
}

/// The dead-letter list of a tenant, newest first.
pub(crate) fn all_dead(tenant: &TenantId) -> Bytes {
    key::tenant(tenant).kind("dead").prefix()
}

/// A run's place on the dead-letter list.
pub(crate) fn dead(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("dead").bytes(&turned(id)).into()
}

/// Which run is at this place of the list.
pub(crate) fn parse_dead(tenant: &TenantId, found: &[u8]) -> Option<RunId> {
    let id: [u8; 16] = key::tail(&all_dead(tenant), found)?.try_into().ok()?;
    Some(RunId::from_bytes(id.map(|byte| !byte)))
}

/// Every run that has not ended, of every tenant.
pub(crate) fn all_pending() -> Bytes {
    key::host().kind(key::RUN_PENDING).prefix()
}

/// The runs of a tenant that have not ended, oldest first.
pub(crate) fn pending_of(tenant: &TenantId) -> Bytes {
    key::host().kind(key::RUN_PENDING).name(tenant.as_str()).prefix()
}

/// A run that has not ended.
pub(crate) fn pending(tenant: &TenantId, id: RunId) -> Bytes {
    key::host().kind(key::RUN_PENDING).name(tenant.as_str()).bytes(&id.to_bytes()).into()
}

/// Whose and which run a pending key is about.
pub(crate) fn parse_pending(found: &[u8]) -> Option<(TenantId, RunId)> {
    of_tenant(&all_pending(), found)
}

fn of_tenant(prefix: &[u8], found: &[u8]) -> Option<(TenantId, RunId)> {
    let (tenant, id) = key::tail(prefix, found)?.split_last_chunk::<16>()?;
    let tenant = std::str::from_utf8(tenant.strip_suffix(&[0])?).ok()?;
    Some((tenant.parse().ok()?, RunId::from_bytes(*id)))
}

/// Runs that are removed, and of which something is left.
pub(crate) fn all_removed() -> Bytes {
    key::host().kind("run-removed").prefix()
}

/// A run that is removed, and of which something is left.
pub(crate) fn removed(tenant: &TenantId, id: RunId) -> Bytes {
    key::host().kind("run-removed").name(tenant.as_str()).bytes(&id.to_bytes()).into()
}

/// Whose and which run was removed.
pub(crate) fn parse_removed(found: &[u8]) -> Option<(TenantId, RunId)> {
    of_tenant(&all_removed(), found)
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

/// When parked runs are woken, earliest first.
pub(crate) fn wakes() -> Bytes {
    key::host().kind("run-wake").prefix()
}

/// When this run is woken, to the millisecond and never too early.
pub(crate) fn wake(at: Timestamp, id: RunId) -> Bytes {
    key::host().kind("run-wake").bytes(&whole_ms(at).to_be_bytes()).bytes(&id.to_bytes()).into()
}

/// The first key of those that are not due yet.
pub(crate) fn wakes_after(now: Timestamp) -> Bytes {
    let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0).saturating_add(1);
    key::host().kind("run-wake").bytes(&ms.to_be_bytes()).prefix()
}

/// When and which run a wake is about.
pub(crate) fn parse_wake(found: &[u8]) -> Option<(Timestamp, RunId)> {
    let (ms, id) = key::tail(&wakes(), found)?.split_first_chunk::<8>()?;
    let at = Timestamp::from_timestamp_millis(i64::try_from(u64::from_be_bytes(*ms)).ok()?)?;
    Some((at, RunId::from_bytes(id.try_into().ok()?)))
}

/// The milliseconds of an instant, rounded up.
pub(crate) fn whole_ms(at: Timestamp) -> u64 {
    let up = at.checked_add_signed(TimeDelta::nanoseconds(999_999)).unwrap_or(at);
    u64::try_from(up.timestamp_millis()).unwrap_or(0)
}

/// The blobs that a run has.
pub(crate) fn blobs(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind(key::RUN_BLOB).bytes(&id.to_bytes()).prefix()
}

/// That a run has this blob, of so many bytes.
pub(crate) fn blob(tenant: &TenantId, id: RunId, digest: &Digest, size: u64) -> Bytes {
    let blobs = key::tenant(tenant).kind(key::RUN_BLOB).bytes(&id.to_bytes());
    blobs.bytes(digest.as_bytes()).bytes(&size.to_be_bytes()).into()
}

/// Which blob of a run a key is about.
pub(crate) fn parse_blob(tenant: &TenantId, id: RunId, found: &[u8]) -> Option<Digest> {
    // Those of before sizes were noted end with the digest.
    let (digest, _size) = key::tail(&blobs(tenant, id), found)?.split_first_chunk::<32>()?;
    Some((*digest).into())
}

/// The runs that have this blob, of every tenant.
pub(crate) fn blob_users(digest: &Digest) -> Bytes {
    key::host().kind("blob-user").name(&digest.hex()).prefix()
}

/// That this blob is a run's, found by the blob.
pub(crate) fn blob_user(digest: &Digest, tenant: &TenantId, id: RunId) -> Bytes {
    key::host().kind("blob-user").name(&digest.hex()).name(tenant.as_str()).bytes(&id.to_bytes()).into()
}

/// The events that came for a run.
pub(crate) fn events(tenant: &TenantId, id: RunId) -> Bytes {
    key::tenant(tenant).kind("run-event").bytes(&id.to_bytes()).prefix()
}

/// The event of this name that came for a run.
pub(crate) fn event(tenant: &TenantId, id: RunId, name: &EventName) -> Bytes {
    key::tenant(tenant).kind("run-event").bytes(&id.to_bytes()).bytes(name.as_str().as_bytes()).into()
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
    fn wakes_sort_by_time_and_are_due_at_their_instant_and_not_before() {
        let at = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        assert!(wake(at(2_000), id(1)) < wake(at(2_001), id(0)));
        assert!(wake(at(2_000), id(1)) < wakes_after(at(2_000)));
        assert!(wake(at(2_000), id(1)) > wakes_after(at(1_999)));
        assert!(wake(at(1_999), id(1)) > wakes_after(at(1_999)), "to the millisecond");
        assert_eq!(parse_wake(&wake(at(2_000), id(7))), Some((at(2_000), id(7))));
        assert_eq!(parse_wake(b"elsewhere"), None);
    }

    #[test]
    fn dead_letters_sort_newest_first_and_tell_whose_place_they_are() {
        let acme: TenantId = "acme".parse().unwrap();
        assert!(dead(&acme, id(2)) < dead(&acme, id(1)));
        assert_eq!(parse_dead(&acme, &dead(&acme, id(2))), Some(id(2)));
        assert_eq!(parse_dead(&acme, b"elsewhere"), None);
    }

    #[test]
    fn a_pending_key_tells_whose_run_it_is() {
        let acme: TenantId = "acme-2".parse().unwrap();
        assert_eq!(parse_pending(&pending(&acme, id(2))), Some((acme, id(2))));
        assert_eq!(parse_pending(b"elsewhere"), None);
    }
}
