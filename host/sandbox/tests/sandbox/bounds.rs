//! Each bound ends its call, alone, and says which it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host_model::bounds::Bounds;
use host_model::name::TenantId;
use host_model::outcome::{Bound, Outcome};
use host_model::quota::{Quota, QuotaPassed};
use host_sandbox::{EngineSettings, Tolls};

use crate::by_hand::{and, connector, forever};
use crate::lab::{Lab, compiler, exceeded, passed, patient, probe, shared_cache};
use crate::waiting::{Upstream, silent, upstream};

#[tokio::test]
async fn a_spinning_guest_ends_at_its_fuel() {
    let lab = Lab::start();
    let finished = lab.go(probe("loop_forever"), Bounds { fuel: 3_000_000, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::Fuel, 3_000_000);
    assert_eq!(finished.usage.fuel, 3_000_000);
    assert!(finished.usage.guest_us > 0 && finished.usage.guest_us <= finished.usage.wall_us);
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn a_spinning_guest_with_fuel_ends_at_its_wall_time() {
    let lab = Lab::start();
    let bounds = Bounds { wall: Duration::from_millis(50), ..patient() };
    let finished = lab.go(probe("loop_forever"), bounds, "1").await;
    passed(&finished, Bound::WallTime, 50);
    assert!(finished.usage.fuel > 1_000_000 && finished.usage.wall_us >= 50_000, "{finished:?}");
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn a_waiting_guest_ends_at_its_wall_time() {
    let address = silent().await;
    let lab = Lab::start().reaching(address);
    let wish = format!("{{\"url\":\"http://{address}/\"}}");
    // Ended by the call's own clock: the guest asked for no timeout.
    let finished =
        lab.go(probe("fetch"), Bounds { wall: Duration::from_millis(80), ..Bounds::default() }, &wish).await;
    let timed_out = matches!(&finished.outcome, Outcome::Answered(text) if text.contains("Timeout"));
    assert!(timed_out || exceeded(&finished).bound == Bound::WallTime, "{finished:?}");
    let timer = forever(
        r#"(import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $in (param i64) (result i32)))
           (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))"#,
        "(call $block (call $in (i64.const -1)))",
    );
    let finished = lab.go(timer, Bounds { wall: Duration::from_millis(50), ..Bounds::default() }, "1").await;
    passed(&finished, Bound::WallTime, 50);
    assert!(finished.usage.fuel < 10_000, "{finished:?}");
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn a_bulk_operation_pays_by_the_byte() {
    let lab = Lab::start();
    let fill = forever("", "(memory.fill (i32.const 4096) (i32.const 7) (i32.const 1000000))");
    let finished = lab.go(fill, Bounds { fuel: 20_000_000, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::Fuel, 20_000_000);
}

#[tokio::test]
async fn all_memories_and_tables_of_an_instance_count_together() {
    let lab = Lab::start();
    // Each alone is far from 4 MiB: three memories of 1 MiB, two tables of 4,000.
    let grow = "(loop $again (drop (memory.grow (i32.const 8))) (br $again)) (unreachable)";
    let more = "(module (memory 16) (table 4000 10000 funcref))";
    let several = |body: &str| and(&and(&connector("", "", body), more), more);
    let finished = lab.go(several(grow), Bounds { memory: 4 << 20, ..Bounds::default() }, "1").await;
    let exceeded = exceeded(&finished);
    // The first half MiB more fits, the second does not.
    assert_eq!((exceeded.bound, exceeded.limit), (Bound::Memory, 4 << 20));
    assert_eq!(exceeded.used, (4 << 20) + 64_000);
    assert_eq!(finished.usage.peak_memory, (3 << 20) + (512 << 10) + 64_000);

    let finished = lab.go(several("(call $one)"), Bounds { memory: 3 << 20, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::Memory, 3 << 20);
    lab.a_neighbour_is_well().await;
}

/// So many bytes of memory for all calls together.
struct Room {
    limit: u64,
    used: AtomicU64,
}

impl Tolls for Room {
    fn log(&self, _: &TenantId, _: u64) -> Result<(), QuotaPassed> {
        Ok(())
    }

    fn memory(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed> {
        assert_eq!(tenant.as_str(), "acme");
        let (used, limit) = (self.used.load(Ordering::SeqCst), self.limit);
        if used + bytes > limit {
            return Err(QuotaPassed { quota: Quota::MemoryBytes, used, limit, retry_after_s: 1 });
        }
        self.used.fetch_add(bytes, Ordering::SeqCst);
        Ok(())
    }

    fn memory_free(&self, _: &TenantId, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn memory_counts_to_the_tenant_beyond_the_first_mib_and_is_given_back_at_the_end() {
    let room = Arc::new(Room { limit: 3 << 20, used: AtomicU64::new(0) });
    let engine = EngineSettings { slots: 4, warm_slots: 4, ..EngineSettings::default() };
    let lab = Lab::tolled(engine, &shared_cache(), compiler(), room.clone());
    // 1 MiB at first, 2 and 3 MiB after having grown.
    let grow =
        |times: &str| connector("", "", &format!("(drop (memory.grow (i32.const {times}))) (call $one)"));
    let within = lab.go(grow("32"), Bounds::default(), "1").await;
    assert!(matches!(within.outcome, Outcome::Answered(_)), "{within:?}");
    assert_eq!(room.used.load(Ordering::SeqCst), 0);
    // As if other calls of the tenant had 2 MiB.
    room.used.store(2 << 20, Ordering::SeqCst);
    let over = lab.go(grow("32"), Bounds::default(), "1").await;
    passed(&over, Bound::TenantMemory, 3 << 20);
    assert_eq!(room.used.load(Ordering::SeqCst), 2 << 20, "what it had got is given back, too");
    let small = lab.go(connector("", "", "(call $one)"), Bounds::default(), "1").await;
    assert!(matches!(small.outcome, Outcome::Answered(_)), "{small:?}");
}

#[tokio::test]
async fn recursion_ends_at_the_stack() {
    let lab = Lab::start();
    let finished = lab.go(probe("recursion"), Bounds::default(), "1").await;
    passed(&finished, Bound::Stack, 512 << 10);
    lab.a_neighbour_is_well().await;
}

const LOG: &str = r#"(import "wharf:log/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
const RANDOM: &str = r#"(import "wharf:random/random@0.1.0" "bytes" (func $random (param i32 i32)))"#;
const NOW: &str = r#"(import "wharf:clock/clock@0.1.0" "now-ms" (func $now (result i64)))"#;

#[tokio::test]
async fn one_large_host_call_and_many_small_ones_end_at_the_host_call_bytes() {
    let lab = Lab::start();
    let large =
        connector(LOG, "", "(call $log (i32.const 1) (i32.const 4096) (i32.const 50000)) (call $one)");
    let bounds = |bytes| Bounds { host_call_bytes: bytes, ..patient() };
    passed(&lab.go(large.clone(), bounds(40_000), "1").await, Bound::HostCallBytes, 40_000);
    assert_eq!(lab.go(large, bounds(60_000), "1").await.outcome, Outcome::Answered("1".into()));

    let many = forever(RANDOM, "(call $random (i32.const 1000) (i32.const 4096))");
    let finished = lab.go(many, bounds(100_000), "1").await;
    passed(&finished, Bound::HostCallBytes, 100_000);
    assert_eq!(finished.usage.host_calls, 94, "1,000 bytes each, and 64 for the call");
    assert_eq!(finished.usage.host_call_bytes, 94_000);

    let empty = forever(NOW, "(drop (call $now))");
    let finished = lab.go(empty, bounds(72_000), "1").await;
    passed(&finished, Bound::HostCallBytes, 72_000);
    assert_eq!(finished.usage.host_calls, 1_001);
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn one_host_call_hands_over_no_more_than_the_largest_body() {
    let lab = Lab::start();
    let bounds = Bounds { body_bytes: 1 << 20, ..Bounds::default() };
    let text = |size: u32| {
        let grow = "(drop (memory.grow (i32.const 64)))";
        connector(
            LOG,
            "",
            &format!("{grow} (call $log (i32.const 1) (i32.const 4096) (i32.const {size})) (call $one)"),
        )
    };
    let finished = lab.go(text(3 << 20), bounds.clone(), "1").await;
    passed(&finished, Bound::HostCallBytes, 2 << 20);
    assert_eq!(lab.go(text((2 << 20) - 4_096), bounds, "1").await.outcome, Outcome::Answered("1".into()));
}

#[tokio::test]
async fn handles_that_are_never_dropped_end_at_the_handles() {
    let lab = Lab::start();
    let bounds = || Bounds { handles: 100, ..patient() };
    for (what, import) in [
        (
            "pollables",
            r#"(import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $in (param i64) (result i32)))
            (func $make (drop (call $in (i64.const 1))))"#,
        ),
        (
            "fields",
            r#"(import "wasi:http/types@0.2.12" "[constructor]fields" (func $new (result i32)))
            (func $make (drop (call $new)))"#,
        ),
        (
            "streams",
            r#"(import "wasi:cli/stdout@0.2.12" "get-stdout" (func $new (result i32)))
            (func $make (drop (call $new)))"#,
        ),
    ] {
        let (import, make) = import.split_once("\n").unwrap();
        let guest = connector(import, make, "(loop $again (call $make) (br $again)) (unreachable)");
        let finished = lab.go(guest, bounds(), "1").await;
        passed(&finished, Bound::Handles, 100);
        assert!((50..=101).contains(&finished.usage.host_calls), "{what}: {finished:?}");
    }
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn outbound_calls_and_their_bodies_are_bounded() {
    let Upstream { address, seen } = upstream(Duration::ZERO).await;
    let lab = Lab::start().reaching(address);
    let wish = format!("{{\"url\":\"http://{address}/\",\"count\":3}}");
    let two = Bounds { outbound_calls: 2, ..Bounds::default() };
    let finished = lab.go(probe("fetch_many"), two, &wish).await;
    passed(&finished, Bound::OutboundCalls, 2);
    assert_eq!(seen.lock().unwrap().len(), 2, "the third never left");

    let wish =
        format!("{{\"url\":\"http://{address}/\",\"method\":\"POST\",\"body\":\"{}\"}}", "x".repeat(1_001));
    let finished = lab.go(probe("fetch"), Bounds { body_bytes: 1_000, ..Bounds::default() }, &wish).await;
    passed(&finished, Bound::BodyBytes, 1_000);
    assert_eq!(exceeded(&finished).used, 1_001);
    assert_eq!(seen.lock().unwrap().len(), 2);
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn log_bytes_are_bounded_and_what_fitted_is_kept() {
    let lab = Lab::start();
    let finished = lab.go(probe("log_flood"), Bounds { log_bytes: 10_000, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::LogBytes, 10_000);
    assert_eq!(finished.log.len(), 9, "of 1,024 bytes each, and 32 for the line");
    let empty = forever(LOG, "(call $log (i32.const 1) (i32.const 0) (i32.const 0))");
    let finished = lab.go(empty, Bounds { log_bytes: 10_000, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::LogBytes, 10_000);
    assert_eq!(finished.log.len(), 312);
}

#[tokio::test]
async fn an_answer_and_a_refusal_are_bounded_alike() {
    let lab = Lab::start();
    let finished = lab.go(probe("big_answer"), Bounds::default(), "1").await;
    passed(&finished, Bound::OutputBytes, 1 << 20);
    assert_eq!(exceeded(&finished).used, (2 << 20) + 2);

    // `err(permanent(text))` of 200,000 bytes that lie at 4,096.
    let refusal = connector(
        "",
        "",
        "(memory.fill (i32.const 4096) (i32.const 120) (i32.const 200000))
         (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 24) (i32.const 6))
         (i32.store (i32.const 32) (i32.const 4096)) (i32.store (i32.const 36) (i32.const 200000))
         (i32.const 16)",
    );
    let finished = lab.go(refusal.clone(), Bounds { output_bytes: 100_000, ..Bounds::default() }, "1").await;
    passed(&finished, Bound::OutputBytes, 100_000);
    assert_eq!(exceeded(&finished).used, 200_000);
    let finished = lab.go(refusal, Bounds::default(), "1").await;
    assert!(matches!(finished.outcome, Outcome::Declined(_)), "{finished:?}");
}
