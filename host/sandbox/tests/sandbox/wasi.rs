//! WASI: what it offers to whom, and what it denies.

use bytes::Bytes;
use host_model::bounds::Bounds;
use host_model::outcome::{Bound, Level, Outcome};
use host_sandbox::{BodyError, CallFailed, PrepareError};
use http_body_util::{BodyExt, Full};

use crate::by_hand::{connector, forever, workflow_with_wasi};
use crate::lab::{Lab, exceeded, passed, target};

#[tokio::test]
async fn a_guest_of_wasi_finds_no_files_no_sockets_and_no_environment() {
    let lab = Lab::start();
    let path = target().join("wasm32-wasip2/guest/examples/wasi_reach.wasm");
    let component = std::fs::read(path).expect("run `make guests` first").into();
    let connection = lab.connection("http-proxy", component, Bounds::default());
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let body = BodyExt::map_err(body, |error: BodyError| error);
    let request = http::Request::get("/").header("host", "here").body(body).unwrap();
    let answer = lab.sandbox.serve(&connection, request, ()).await.unwrap().unwrap();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8(told.to_vec()).unwrap();
    for nothing in ["environment: []", "arguments: []"] {
        assert!(told.contains(nothing), "{told}");
    }
    for denied in ["folder: Err", "file: Err", "write: Err", "connect: Err", "resolve: Err"] {
        assert!(told.contains(denied), "{told}");
    }
    lab.sandbox.drain().await;
}

#[tokio::test]
async fn the_world_of_workflows_has_no_wasi() {
    let lab = Lab::start();
    let package = lab.package("workflow", workflow_with_wasi());
    let failed = lab.sandbox.load(&package).await;
    let Err(CallFailed::Prepare(PrepareError::Link(why))) = failed else { panic!("{failed:?}") };
    assert!(why.contains("wasi:random/random"), "{why}");
}

const STDOUT: &str = r#"
    (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
        (func $write (param i32 i32 i32 i32)))"#;

#[tokio::test]
async fn standard_output_is_the_log_and_is_bounded_like_it() {
    let lab = Lab::start();
    let twice = "(call $write (call $stdout) (i32.const 128) (i32.const 12) (i32.const 4096))";
    let guest =
        connector(STDOUT, r#"(data (i32.const 128) "first\nsecond")"#, &format!("{twice} (call $one)"));
    let finished = lab.go(guest, Bounds::default(), "1").await;
    let log: Vec<_> = finished.log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!((log, finished.usage.log_bytes), (vec!["first", "second"], 12 + 2 * 32));

    let bounds = Bounds { log_bytes: 10_000, ..Bounds::default() };
    let lines = connector(
        STDOUT,
        "",
        "(memory.fill (i32.const 4096) (i32.const 10) (i32.const 4096))
         (call $write (call $stdout) (i32.const 4096) (i32.const 4096) (i32.const 16)) (call $one)",
    );
    passed(&lab.go(lines, bounds.clone(), "1").await, Bound::LogBytes, 10_000);
    let nothing = connector(
        STDOUT,
        "(global $out (mut i32) (i32.const 0))",
        "(global.set $out (call $stdout))
         (loop $again (call $write (global.get $out) (i32.const 0) (i32.const 0) (i32.const 4096)) (br $again))
         (unreachable)",
    );
    let finished = lab.go(nothing, bounds, "1").await;
    assert_eq!(exceeded(&finished).bound, Bound::LogBytes);
}

#[tokio::test]
async fn a_wait_of_wasi_is_cheap_and_ends() {
    let lab = Lab::start();
    let nap = r#"(import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $in (param i64) (result i32)))
        (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))"#;
    let guest = connector(nap, "", "(call $block (call $in (i64.const 30000000))) (call $one)");
    let finished = lab.go(guest, Bounds::default(), "1").await;
    assert_eq!(finished.outcome, Outcome::Answered("1".to_owned()));
    assert!(finished.usage.fuel < 1_000 && finished.usage.wall_us >= 30_000, "{finished:?}");
    assert!(finished.usage.wall_us - finished.usage.guest_us >= 25_000, "{finished:?}");
    assert_eq!(finished.usage.host_calls, 2);
}

#[tokio::test]
async fn more_random_bytes_than_a_call_gives_end_the_call() {
    let lab = Lab::start();
    let random = r#"(import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))"#;
    let guest = forever(random, "(call $random (i64.const 100000) (i32.const 4096))");
    let finished = lab.go(guest, Bounds::default(), "1").await;
    assert!(
        matches!(&finished.outcome, Outcome::Trapped(why) if why.contains("exceeds limit")),
        "{finished:?}"
    );
}

#[tokio::test]
async fn an_exchange_of_wasi_leaves_its_line_also_if_nobody_waits_for_it() {
    let imports = r#"
        (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
        (import "wasi:http/types@0.2.12" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-scheme"
            (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-authority"
            (func $authority (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-path-with-query"
            (func $path (param i32 i32 i32 i32) (result i32)))
        (import "wasi:http/outgoing-handler@0.2.12" "handle" (func $handle (param i32 i32 i32 i32)))
        (import "wasi:http/types@0.2.12" "[method]future-incoming-response.subscribe"
            (func $subscribe (param i32) (result i32)))
        (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))"#;
    let guest = |then: &str| {
        let body = format!(
            "(local $it i32) (local.set $it (call $request (call $fields)))
             (drop (call $scheme (local.get $it) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
             (drop (call $authority (local.get $it) (i32.const 1) (i32.const 128) (i32.const 11)))
             (drop (call $path (local.get $it) (i32.const 1) (i32.const 144) (i32.const 1)))
             (call $handle (local.get $it) (i32.const 0) (i32.const 0) (i32.const 4096))
             {then} (call $one)"
        );
        connector(imports, r#"(data (i32.const 128) "127.0.0.1:1") (data (i32.const 144) "/")"#, &body)
    };
    let wait = "(call $block (call $subscribe (i32.load (i32.const 4104))))";
    for (then, want) in [(wait, "GET http://127.0.0.1:1/: no answer in "), ("", "GET ")] {
        let finished = Lab::start().go(guest(then), Bounds::default(), "1").await;
        let log: Vec<_> = finished.log.iter().map(|line| (line.level, line.text.as_str())).collect();
        let [(Level::Debug, line)] = log[..] else { panic!("{finished:?}") };
        assert!(line.starts_with(want) && line.contains(": no answer in "), "{line}");
    }
}
