//! Quotas in a time that is moved by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host_model::clock::SimClock;
use host_model::name::TenantId;
use host_model::notice::{Heard, Notice};
use host_model::quota::{Quota, QuotasSpec};

use super::{Day, Quotas, Stock};

const HOUR: Duration = Duration::from_secs(3_600);

/// What a store would count.
#[derive(Default)]
struct Kept {
    bytes: AtomicU64,
    pending: AtomicU64,
}

impl Stock for Kept {
    fn stored_bytes(&self, _: &TenantId) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    fn runs_pending(&self, _: &TenantId) -> u64 {
        self.pending.load(Ordering::SeqCst)
    }

    fn packages(&self, _: &TenantId) -> u64 {
        0
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn bolt() -> TenantId {
    "bolt".parse().unwrap()
}

fn quotas(usual: QuotasSpec) -> (Quotas, SimClock, Arc<Kept>) {
    let clock = SimClock::at("2026-11-21T23:30:00Z".parse().unwrap());
    let kept = Arc::<Kept>::default();
    (Quotas::new(usual, Arc::new(clock.clone()), kept.clone(), Arc::new(())), clock, kept)
}

fn used(quotas: &Quotas, quota: Quota) -> u64 {
    quotas.usage(&acme()).iter().find(|found| found.quota == quota).unwrap().used
}

#[test]
fn the_run_over_the_day_is_refused_a_neighbours_is_not_and_midnight_begins_anew() {
    let (quotas, clock, _) = quotas(QuotasSpec { runs_per_day: Some(3), ..QuotasSpec::default() });
    quotas.book(&acme(), 2, 0).unwrap().keep();
    assert!(quotas.book(&acme(), 2, 0).is_err(), "both or none");
    quotas.book(&acme(), 1, 0).unwrap().keep();
    let passed = quotas.book(&acme(), 1, 0).err().unwrap();
    assert_eq!((passed.quota, passed.used, passed.limit), (Quota::RunsPerDay, 3, 3));
    assert_eq!(passed.retry_after_s, 30 * 60 + 1);
    assert!(passed.to_string().contains("wait until it resets"), "{passed}");
    quotas.book(&bolt(), 3, 0).unwrap().keep();
    clock.advance(HOUR);
    quotas.book(&acme(), 3, 0).unwrap().keep();
}

#[test]
fn a_booking_that_comes_to_nothing_costs_nothing() {
    let (quotas, _, _) = quotas(QuotasSpec { runs_per_day: Some(1), ..QuotasSpec::default() });
    drop(quotas.book(&acme(), 1, 10).unwrap());
    let booked = quotas.book(&acme(), 1, 10).unwrap();
    assert!(quotas.book(&acme(), 1, 10).is_err(), "while it is under way the room is taken");
    booked.keep();
    assert_eq!((used(&quotas, Quota::RunsPerDay), used(&quotas, Quota::StoredBytes)), (1, 0));
}

#[test]
fn what_is_kept_and_what_is_under_way_count_together() {
    let limits = QuotasSpec { runs_pending: Some(5), stored_bytes: Some(100), ..QuotasSpec::default() };
    let (quotas, _, kept) = quotas(limits);
    kept.pending.store(3, Ordering::SeqCst);
    let under_way = quotas.book(&acme(), 2, 60).unwrap();
    assert_eq!(quotas.book(&acme(), 1, 0).err().unwrap().quota, Quota::RunsPending);
    kept.pending.store(0, Ordering::SeqCst);
    assert_eq!(quotas.book(&acme(), 1, 60).err().unwrap().quota, Quota::StoredBytes);
    under_way.keep();
    kept.bytes.store(60, Ordering::SeqCst);
    quotas.book(&acme(), 1, 40).unwrap().keep();
}

#[test]
fn a_tenants_own_quota_is_lower_or_higher_than_the_operators() {
    let (quotas, clock, _) = quotas(QuotasSpec { outbound_per_minute: Some(2), ..QuotasSpec::default() });
    let own = |limit| QuotasSpec { outbound_per_minute: Some(limit), ..QuotasSpec::default() };
    let may = |tenant: &TenantId| (0..100).take_while(|_| quotas.outbound(tenant).is_ok()).count();
    assert_eq!(may(&acme()), 2);
    quotas.set_own(HashMap::from([(acme(), own(1)), (bolt(), own(4))]));
    clock.advance(Duration::from_secs(60));
    assert_eq!((may(&acme()), may(&bolt())), (1, 4));
}

#[test]
fn four_fifths_are_near_and_the_usage_says_when_it_resets() {
    let (quotas, _, _) = quotas(QuotasSpec { log_bytes_per_day: Some(100), ..QuotasSpec::default() });
    let log =
        |quotas: &Quotas| *quotas.usage(&acme()).iter().find(|it| it.quota == Quota::LogBytesPerDay).unwrap();
    quotas.log(&acme(), 79).unwrap();
    assert!(!log(&quotas).near);
    quotas.log(&acme(), 1).unwrap();
    let usage = log(&quotas);
    assert!(usage.near && usage.used == 80);
    assert_eq!(usage.resets_at, Some("2026-11-22T00:00:00Z".parse().unwrap()));
    assert!(quotas.log(&acme(), 21).is_err() && quotas.log(&acme(), 20).is_ok());
}

#[test]
fn a_tenant_hears_once_of_a_quota_that_is_nearly_used_however_often_it_goes_up_and_down() {
    let clock = SimClock::at("2026-11-21T12:00:00Z".parse().unwrap());
    let heard = Arc::<Heard>::default();
    let usual = QuotasSpec { memory_bytes: Some(100), ..QuotasSpec::default() };
    let quotas = Quotas::new(usual, Arc::new(clock.clone()), Arc::<Kept>::default(), heard.clone());
    let up_and_down = || {
        for _ in 0..50 {
            quotas.memory(&acme(), 79).unwrap();
            quotas.memory(&acme(), 1).unwrap();
            quotas.memory_free(&acme(), 80);
        }
        heard.take()
    };
    let near = Notice::QuotaNear { quota: Quota::MemoryBytes, used: 80, limit: 100 };
    assert_eq!(up_and_down(), [(acme(), near.clone())]);
    clock.advance(Duration::from_secs(599));
    assert_eq!(up_and_down(), []);
    clock.advance(Duration::from_secs(1));
    assert_eq!(up_and_down(), [(acme(), near)], "but it hears of it again");
}

#[test]
fn a_quota_that_is_used_up_at_once_is_told_of_every_day() {
    let clock = SimClock::at("2026-11-21T12:00:00Z".parse().unwrap());
    let heard = Arc::<Heard>::default();
    let usual = QuotasSpec { runs_per_day: Some(1), ..QuotasSpec::default() };
    let quotas = Quotas::new(usual, Arc::new(clock.clone()), Arc::<Kept>::default(), heard.clone());
    let near = Notice::QuotaNear { quota: Quota::RunsPerDay, used: 1, limit: 1 };
    for _ in 0..2 {
        quotas.book(&acme(), 1, 0).unwrap().keep();
        assert_eq!(heard.take(), [(acme(), near.clone())]);
        clock.advance(24 * HOUR);
    }
}

#[test]
fn memory_counts_while_it_is_in_use() {
    let (quotas, _, _) = quotas(QuotasSpec { memory_bytes: Some(100), ..QuotasSpec::default() });
    quotas.memory(&acme(), 60).unwrap();
    let passed = quotas.memory(&acme(), 60).unwrap_err();
    assert_eq!((passed.quota, passed.used, passed.limit), (Quota::MemoryBytes, 60, 100));
    quotas.memory(&bolt(), 100).unwrap();
    quotas.memory_free(&acme(), 60);
    quotas.memory(&acme(), 100).unwrap();
    assert_eq!(used(&quotas, Quota::MemoryBytes), 100);
}

#[test]
fn a_restart_goes_on_with_the_day_and_not_with_an_earlier_one() {
    let (before, _, _) = quotas(QuotasSpec::default());
    before.book(&acme(), 7, 0).unwrap().keep();
    let changed = before.take_changed();
    assert_eq!(changed.len(), 1);
    assert!(before.take_changed().is_empty(), "nothing has changed since");

    let (after, _, _) = quotas(QuotasSpec { runs_per_day: Some(7), ..QuotasSpec::default() });
    after.restore(&changed[0].0, changed[0].1);
    assert!(after.book(&acme(), 1, 0).is_err());
    let yesterday = Day { day: changed[0].1.day - 1, runs: 7, log_bytes: 0 };
    after.restore(&bolt(), yesterday);
    assert!(after.book(&bolt(), 7, 0).is_ok());
}

#[test]
fn callers_at_the_same_moment_do_not_pass_a_limit_together() {
    let (quotas, _, _) = quotas(QuotasSpec { runs_per_day: Some(500), ..QuotasSpec::default() });
    let accepted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..200 {
                    let Ok(booking) = quotas.book(&acme(), 1, 1) else { continue };
                    if number % 3 == 0 {
                        drop(booking); // its commit failed
                    } else {
                        booking.keep();
                        accepted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(accepted.load(Ordering::SeqCst), 500);
    assert_eq!(used(&quotas, Quota::RunsPerDay), 500);
    assert_eq!(used(&quotas, Quota::StoredBytes), 0);
}
