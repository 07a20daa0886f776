//! Calls of WASI that are dear for the host and nearly free for the guest. All
//! that crosses is counted, so each flood ends at the host-call bytes.

use host_model::bounds::Bounds;
use host_model::outcome::{Bound, Outcome};

use crate::by_hand::connector;
use crate::lab::{Lab, passed, patient};

/// Repeats a step; `first` is done once before.
async fn flood(imports: &str, more: &str, first: &str, step: &str) {
    let lab = Lab::start();
    let body = format!("{first} (loop $again {step} (br $again)) (unreachable)");
    let bounds = Bounds { host_call_bytes: 4 << 20, ..patient() };
    let finished = lab.go(connector(imports, more, &body), bounds, "1").await;
    passed(&finished, Bound::HostCallBytes, 4 << 20);
    assert!(finished.usage.fuel < 10_000_000, "it did not pay for it by work: {:?}", finished.usage);
    lab.a_neighbour_is_well().await;
}

const GLOBAL: &str = "(global $it (mut i32) (i32.const 0))";
const FIELDS: &str = r#"(import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))"#;

#[tokio::test]
async fn random_bytes() {
    let secure = r#"(import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))"#;
    flood(secure, "", "", "(call $random (i64.const 65536) (i32.const 4096))").await;
    let insecure = r#"(import "wasi:random/insecure@0.2.12" "get-insecure-random-bytes" (func $random (param i64 i32)))"#;
    flood(insecure, "", "", "(call $random (i64.const 65536) (i32.const 4096))").await;
}

#[tokio::test]
async fn headers_that_are_refused_each_time() {
    let append = r#"(import "wasi:http/types@0.2.12" "[method]fields.append" (func $do (param i32 i32 i32 i32 i32 i32)))"#;
    let step = "(call $do (global.get $it) (i32.const 64) (i32.const 1) (i32.const 65536) (i32.const 500000) (i32.const 16))";
    flood(&format!("{FIELDS}{append}"), GLOBAL, "(global.set $it (call $fields))", step).await;
}

#[tokio::test]
async fn headers_that_are_read_again_and_again() {
    let imports = format!(
        r#"{FIELDS}
        (import "wasi:http/types@0.2.12" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
        (import "wasi:http/types@0.2.12" "[method]fields.entries" (func $entries (param i32 i32)))"#
    );
    let first = "(global.set $it (call $fields)) (memory.fill (i32.const 65536) (i32.const 120) (i32.const 20000))
        (call $append (global.get $it) (i32.const 64) (i32.const 1) (i32.const 65536) (i32.const 20000) (i32.const 16))";
    flood(&imports, GLOBAL, first, "(call $entries (global.get $it) (i32.const 16))").await;
}

#[tokio::test]
async fn names_to_look_up() {
    let imports = r#"
        (import "wasi:sockets/instance-network@0.2.12" "instance-network" (func $network (result i32)))
        (import "wasi:sockets/ip-name-lookup@0.2.12" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))"#;
    let step = "(call $resolve (global.get $it) (i32.const 65536) (i32.const 500000) (i32.const 16))";
    flood(imports, GLOBAL, "(global.set $it (call $network))", step).await;
}

#[tokio::test]
async fn a_list_of_the_same_pollable() {
    let imports = r#"
        (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $in (param i64) (result i32)))
        (import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))"#;
    let first = "(local $at i32) (global.set $it (call $in (i64.const 0)))
        (local.set $at (i32.const 200000))
        (loop $next (i32.store (local.get $at) (global.get $it))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 204000))))";
    flood(imports, GLOBAL, first, "(call $poll (i32.const 200000) (i32.const 1000) (i32.const 16))").await;
}

#[tokio::test]
async fn a_method_as_long_as_a_book_is_refused_and_not_kept() {
    let lab = Lab::start();
    let imports = format!(
        r#"{FIELDS}
        (import "wasi:http/types@0.2.12" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
        (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-method"
            (func $set (param i32 i32 i32 i32) (result i32)))"#
    );
    // Case 9 is `other`. The answer is 0 for "set" and 1 for "no".
    let guest = |size: u32| {
        connector(
            &imports,
            "",
            &format!(
                "(memory.fill (i32.const 65536) (i32.const 120) (i32.const 500000))
                 (i32.store8 (i32.const 5000) (i32.add (i32.const 48)
                    (call $set (call $request (call $fields)) (i32.const 9) (i32.const 65536) (i32.const {size}))))
                 (call $answer (i32.const 5000) (i32.const 1))"
            ),
        )
    };
    for (size, want) in [(32, "0"), (33, "1"), (500_000, "1")] {
        let finished = lab.go(guest(size), Bounds::default(), "1").await;
        assert_eq!(finished.outcome, Outcome::Answered(want.to_owned()), "{size} bytes");
    }
}
