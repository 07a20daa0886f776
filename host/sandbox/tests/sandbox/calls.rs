//! What a call leaves behind: nothing. And who waits for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use host_model::bounds::Bounds;
use host_model::clock::Timestamp;
use host_model::effects::{BoxFuture, Effects, Intent, Pending, Stopped};
use host_model::name::TenantId;
use host_model::outcome::{CallError, Outcome};
use host_model::resource::Connection;
use host_sandbox::{Allocation, CallFailed, EngineSettings, Sandbox};

use crate::by_hand::{and, connector};
use crate::lab::{Lab, MESSAGE, compiler, patient, probe};
use crate::waiting::silent;

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// Answers how often it was called in this instance.
fn counter() -> bytes::Bytes {
    connector(
        "",
        "(global $calls (mut i32) (i32.const 0))",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (i32.store8 (i32.const 4096) (i32.add (i32.load8_u (i32.const 4096)) (i32.const 1)))
         (i32.store8 (i32.const 5000) (i32.add (i32.const 48) (global.get $calls)))
         (i32.store8 (i32.const 5001) (i32.add (i32.const 48) (i32.load8_u (i32.const 4096))))
         (call $answer (i32.const 5000) (i32.const 2))",
    )
}

#[tokio::test]
async fn every_call_has_a_fresh_store() {
    let lab = Lab::slots(2); // one slot for calls, so each call gets the last one's memory
    let connection = lab.connection("connector", counter(), Bounds::default());
    for _ in 0..5 {
        let finished = lab.sandbox.call(&connection, "go", "1", "key").await.unwrap();
        assert_eq!(finished.outcome, Outcome::Answered("11".to_owned()));
    }
}

#[tokio::test]
async fn a_machine_without_room_for_a_pool_still_runs_guests() {
    let folder = tempfile::tempdir().unwrap();
    let absurd = EngineSettings { slots: 4_000_000, warm_slots: 1, ..EngineSettings::default() };
    let lab = Lab::with(absurd, folder.path(), compiler());
    assert_eq!(lab.sandbox.allocation(), Allocation::OnDemand);
    assert_eq!(Lab::slots(8).sandbox.allocation(), Allocation::Pooling);
    lab.a_neighbour_is_well().await;
}

#[tokio::test]
async fn a_panic_of_a_guest_is_one_line_and_its_place_is_in_the_log() {
    let lab = Lab::start();
    let finished = lab.go(probe("trap"), Bounds::default(), "\"seven\"").await;
    let Outcome::Trapped(trap) = &finished.outcome else { panic!("{finished:?}") };
    assert!(!trap.contains('\n') && !trap.contains("/work") && !trap.contains("0x"), "{trap}");
    let log: Vec<_> = finished.log.iter().map(|line| line.text.as_str()).collect();
    assert!(
        log.iter().any(|line| line.contains("the probe panics, given \"seven\"") && line.contains("trap.rs")),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_calls_at_once_wait_for_slots() {
    let lab = Lab::slots(8);
    let connection = lab.connection("connector", probe("echo"), Bounds::default());
    let call = |number: usize| {
        let (sandbox, connection) = (&lab.sandbox, &connection);
        async move { sandbox.call(connection, "go", &number.to_string(), "key").await.unwrap().outcome }
    };
    let outcomes = join_all((0..500).map(call)).await;
    assert!((0..500).all(|number| outcomes[number] == Outcome::Answered(number.to_string())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greediest_components_in_every_slot_leave_no_call_without_an_instance() {
    let lab = Lab::slots(8);
    // As many memories as a component may have, and many instances, all of them at once.
    let greedy = connector(
        r#"(import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $in (param i64) (result i32)))
           (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))"#,
        "",
        "(call $block (call $in (i64.const 20000000))) (call $one)",
    );
    let greedy = (0..2).fold(greedy, |greedy, _| and(&greedy, "(module (memory 1))"));
    let greedy = (0..30).fold(greedy, |greedy, _| and(&greedy, "(module)"));
    let connection = lab.connection("connector", greedy, Bounds::default());
    let calls = (0..16).map(|_| lab.sandbox.call(&connection, "go", "1", "key"));
    for finished in join_all(calls).await {
        assert_eq!(finished.unwrap().outcome, Outcome::Answered("1".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_dropped_half_way_give_their_slots_back() {
    let address = silent().await;
    let lab = Lab::slots(2).reaching(address);
    let wish = format!("{{\"url\":\"http://{address}/\"}}");
    let connection = lab.connection("connector", probe("fetch"), Bounds::default());
    lab.sandbox.load(&connection.package).await.unwrap();
    for _ in 0..20 {
        let call = lab.sandbox.call(&connection, "go", &wish, "key");
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err(), "it waits");
        lab.a_neighbour_is_well().await;
    }
}

/// A run whose every step is a call of a connector in the same sandbox.
struct Calling {
    sandbox: Arc<Sandbox>,
    connection: Arc<Connection>,
    panics: bool,
    steps: AtomicUsize,
}

impl Effects for Calling {
    fn start(&self, _: Intent) -> BoxFuture<'_, Result<Pending, Stopped>> {
        assert!(!self.panics, "the journal panics, as the test wants");
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(Pending(step as u32)) })
    }

    fn wait(&self, _: Pending) -> BoxFuture<'_, Result<Result<String, CallError>, Stopped>> {
        Box::pin(async move {
            let finished = self.sandbox.call(&self.connection, "go", "1", "key").await;
            Ok(finished.map_err(|failed| Stopped(failed.to_string()))?.outcome.into_call_result())
        })
    }

    fn wait_any(&self, _: Vec<Pending>) -> BoxFuture<'_, Result<usize, Stopped>> {
        Box::pin(async { Ok(0) })
    }

    fn callback_url(&self, _: Pending) -> String {
        String::new()
    }

    fn mark(&self, _: String) {}

    fn definition(&self) -> BoxFuture<'_, Result<String, Stopped>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn calling(lab: &Lab, panics: bool) -> Arc<Calling> {
    let connection = lab.connection("connector", probe("echo"), Bounds::default());
    Arc::new(Calling { sandbox: Arc::clone(&lab.sandbox), connection, panics, steps: AtomicUsize::new(0) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_fill_every_slot_still_get_their_calls() {
    let lab = Lab::slots(4);
    let workflow = lab.package("workflow", probe("workflow_call"));
    let effects = calling(&lab, false);
    let bounds = Bounds::for_workflows();
    let acme = acme();
    let runs = (0..50).map(|_| lab.sandbox.run(&acme, &workflow, &bounds, &MESSAGE, effects.clone()));
    let runs =
        tokio::time::timeout(Duration::from_secs(60), join_all(runs)).await.expect("nobody waits for ever");
    for run in runs {
        let outcome = run.unwrap().outcome;
        assert_eq!(outcome, Outcome::Answered("[{\"ok\":1}]".to_owned()));
    }
    assert_eq!(effects.steps.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn a_panic_in_the_host_ends_its_own_call_and_frees_the_slot() {
    let lab = Lab::slots(2);
    let workflow = lab.package("workflow", probe("workflow_call"));
    let bounds = Bounds::for_workflows();
    for _ in 0..3 {
        let run = lab.sandbox.run(&acme(), &workflow, &bounds, &MESSAGE, calling(&lab, true)).await;
        assert!(matches!(run, Err(CallFailed::Panicked)), "{run:?}");
    }
    let run = lab.sandbox.run(&acme(), &workflow, &bounds, &MESSAGE, calling(&lab, false)).await.unwrap();
    assert_eq!(run.outcome, Outcome::Answered("[{\"ok\":1}]".to_owned()));
}

#[tokio::test]
async fn a_request_with_more_headers_than_a_map_holds_is_refused_without_a_panic() {
    let lab = Lab::start();
    // `send` with 40,000 headers of different names. The entries lie from
    // 200,000 on, the names, four letters each, from 1,100,000 on.
    let headers = connector(
        r#"(import "wharf:http/outgoing@0.1.0" "send"
            (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#,
        r#"(data (i32.const 128) "GET") (data (i32.const 132) "http://127.0.0.1:1/")
        (func $letter (param $number i32) (param $shift i32) (result i32)
            (i32.shl
                (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $number) (local.get $shift)) (i32.const 15)))
                (i32.shl (local.get $shift) (i32.const 1))))"#,
        "(local $n i32) (local $entry i32) (local $name i32) (drop (memory.grow (i32.const 16)))
         (loop $next
            (local.set $entry (i32.add (i32.const 200000) (i32.shl (local.get $n) (i32.const 4))))
            (local.set $name (i32.add (i32.const 1100000) (i32.shl (local.get $n) (i32.const 2))))
            (i32.store (local.get $name) (i32.or
                (i32.or (call $letter (local.get $n) (i32.const 0)) (call $letter (local.get $n) (i32.const 4)))
                (i32.or (call $letter (local.get $n) (i32.const 8)) (call $letter (local.get $n) (i32.const 12)))))
            (i32.store (local.get $entry) (local.get $name))
            (i32.store offset=4 (local.get $entry) (i32.const 4))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (i32.const 40000))))
         (call $send (i32.const 128) (i32.const 3) (i32.const 132) (i32.const 19)
            (i32.const 200000) (i32.const 40000) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 4096))
         (call $one)",
    );
    let finished = lab.go(headers, patient(), "1").await;
    assert_eq!(finished.outcome, Outcome::Answered("1".to_owned()));
}
