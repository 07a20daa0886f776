//! What a compiler would not make of anything that people write: code that
//! runs before its first call, in a destructor, over all of a memory at once;
//! memories and tables without number.

use reqwest::Method;
use tests_harness::{Connection, HostBuilder};

use crate::by_hand::{module, server};
use crate::scene::Scene;

const FOREVER: &str = "(loop $again (br $again))";

/// Publishes a server and has a stranger visit it: the code of the refusal.
async fn visited(scene: &Scene, name: &str, bytes: Vec<u8>) -> String {
    let published = scene.host.operate(Method::POST, "/packages", bytes).await;
    assert_eq!(published.status, 201, "{name}: {published:?}");
    let connection = Connection::new(name, &format!("hand/{name}@0.1.0")).open_hooks();
    scene.mallory().apply(&connection.yaml()).await;
    let answer = scene.beside(scene.host.ask(scene.mallory().hook(&format!("{name}/")))).await;
    assert_eq!(answer.status, 502, "{name}: {answer:?}");
    answer.code()
}

/// The upload is refused, and says why.
async fn refused(scene: &Scene, bytes: Vec<u8>, why: &str) {
    let answer = scene.beside(scene.host.operate(Method::POST, "/packages", bytes)).await;
    assert!(answer.status == 422 && answer.text.contains(why), "{why}: {answer:?}");
}

#[tokio::test]
async fn a_loop_before_the_first_call_ends_its_own_upload_at_its_fuel() {
    let scene = Scene::empty(HostBuilder::default()).await;
    let start = module(&format!("(func $spin {FOREVER}) (start $spin)"), "");
    refused(&scene, server("start", "", &start), "passed its bound on fuel").await;
}

#[tokio::test]
async fn a_loop_in_a_destructor_ends_at_its_fuel() {
    let scene = Scene::empty(HostBuilder::default()).await;
    let resource = format!(
        r#"(core module $d (func (export "destroy") (param i32) {FOREVER}))
        (core instance $destructor (instantiate $d))
        (type $r (resource (rep i32) (dtor (core func $destructor "destroy"))))
        (core func $new (canon resource.new $r))
        (core func $drop (canon resource.drop $r))"#
    );
    let drops = r#"(core module $m
            (import "r" "new" (func $new (param i32) (result i32)))
            (import "r" "drop" (func $drop (param i32)))
            (func (export "handle") (param i32 i32) (call $drop (call $new (i32.const 1)))))
        (core instance $server (instantiate $m
            (with "r" (instance (export "new" (func $new)) (export "drop" (func $drop))))))"#;
    assert_eq!(visited(&scene, "destructor", server("destructor", &resource, drops)).await, "exceeded-fuel");
}

#[tokio::test]
async fn many_memories_are_one_for_the_bound_and_tables_grow_to_a_limit() {
    let scene = Scene::empty(HostBuilder::default()).await;
    let memories = |count: usize, pages: usize| -> String {
        let one =
            |n| format!("(core module $m{n} (memory {pages})) (core instance $i{n} (instantiate $m{n}))");
        (0..count).map(one).collect()
    };
    refused(&scene, server("memories", &memories(8, 1), &module("", "")), "memories").await;
    // Three of 30 MiB: no one of them is over the bound.
    refused(&scene, server("memories", &memories(3, 480), &module("", "")), "passed its bound on memory")
        .await;
    let grows = module(
        "(table $t 0 funcref)",
        "(loop $again (br_if $again (i32.ne (i32.const -1)
            (table.grow $t (ref.null func) (i32.const 1000))))) (unreachable)",
    );
    assert_eq!(visited(&scene, "tables", server("tables", "", &grows)).await, "connector-failed");
}
