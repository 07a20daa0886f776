//! Guests that want more than they may have: each is ended by the bound that
//! it passes, by name, and nobody else notices.

use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, HostBuilder};
use tests_upstreams::{Credentials, Upstreams};

use crate::scene::Scene;

/// What `exceeded` says of a bound.
#[track_caller]
fn passed(report: &serde_json::Value, bound: &str, limit: u64) {
    let value = &report["outcome"]["value"];
    assert_eq!(report["outcome"]["outcome"], "exceeded", "{report}");
    assert_eq!((value["bound"].as_str(), value["limit"].as_u64()), (Some(bound), Some(limit)), "{report}");
    assert!(value["used"].as_u64().unwrap() >= limit, "{report}");
}

#[tokio::test]
async fn a_loop_ends_at_its_fuel_and_says_so_to_caller_and_stranger() {
    let scene = Scene::with(&["loop-forever"]).await;
    let report = scene.report("loop-forever", json!(null)).await;
    passed(&report, "fuel", 100_000_000);
    assert_eq!(report["usage"]["fuel"], 100_000_000);

    let plain = scene.mallory().call("loop-forever", "go", json!(null)).await.expect(502);
    assert_eq!(plain.code(), "bound-passed");
    assert!(plain.text.contains("bound on fuel: the limit is 100000000"), "{plain:?}");
    let stranger = scene.knock("loop-forever", "").await.expect(502);
    assert_eq!(stranger.code(), "exceeded-fuel");
}

#[tokio::test]
async fn a_loop_with_a_short_wall_time_ends_at_that() {
    let generous = HostBuilder::default().config("[bounds]\nfuel = 1_000_000_000_000");
    let scene = Scene::on(generous, &["loop-forever"]).await;
    scene.mallory().apply(&Connection::probe("loop-forever").bound("wall-ms", 200).yaml()).await;
    passed(&scene.report("loop-forever", json!(null)).await, "wall-time", 200);
}

#[tokio::test]
async fn memory_is_bounded_for_the_whole_instance() {
    let scene = Scene::with(&["eat-memory"]).await;
    let report = scene.report("eat-memory", json!(null)).await;
    passed(&report, "memory", 64 << 20);
    let peak = report["usage"]["peak-memory"].as_u64().unwrap();
    assert!(((60 << 20)..=(64 << 20)).contains(&peak), "{report}");
    assert_eq!(scene.knock("eat-memory", "").await.expect(502).code(), "exceeded-memory");
}

#[tokio::test]
async fn recursion_ends_at_the_stack_and_leaves_the_host_its_own() {
    let scene = Scene::with(&["recursion"]).await;
    let report = scene.report("recursion", json!(null)).await;
    assert_eq!(report["outcome"]["value"]["bound"], "stack", "{report}");
    assert_eq!(scene.knock("recursion", "").await.expect(502).code(), "exceeded-stack");
}

#[tokio::test]
async fn an_answer_of_two_mib_is_refused_with_its_size() {
    let scene = Scene::with(&["big-answer"]).await;
    let report = scene.report("big-answer", json!(null)).await;
    passed(&report, "output-bytes", 1 << 20);
    assert_eq!(report["outcome"]["value"]["used"], (2 << 20) + 2);
    let stranger = scene.knock("big-answer", "").await.expect(502);
    assert_eq!(stranger.code(), "exceeded-output-bytes");
    assert!(stranger.text.len() < 1_000);
}

#[tokio::test]
async fn a_flood_of_log_lines_ends_at_the_log_bytes_and_keeps_what_fitted() {
    let scene = Scene::with(&["log-flood"]).await;
    let report = scene.report("log-flood", json!(null)).await;
    passed(&report, "log-bytes", 64 << 10);
    let kept: usize =
        report["log"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().len()).sum();
    assert!((1..=64 << 10).contains(&kept), "{kept}");
    assert_eq!(scene.knock("log-flood", "").await.expect(502).code(), "exceeded-log-bytes");
}

#[tokio::test]
async fn outbound_calls_and_the_bytes_of_an_answer_are_bounded() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    let lab = format!("http://{}", upstreams.lab);
    for name in ["fetch", "fetch-many"] {
        scene.publish(name).await;
        let connection = Connection::probe(name).config("base-url", &lab).grant_http(&lab);
        scene.mallory().apply(&connection.bound("outbound-calls", 3).bound("body-bytes", 1_000).yaml()).await;
    }
    let many = scene.report("fetch-many", json!({ "url": format!("{lab}/count"), "count": 4 })).await;
    passed(&many, "outbound-calls", 3);
    assert_eq!(upstreams.lab_received().len(), 3, "the fourth never left");

    let fetch = async |path: &str| {
        let report = scene.report("fetch", json!({ "url": format!("{lab}{path}") })).await;
        assert_eq!(report["outcome"]["outcome"], "answered", "{report}");
        report["outcome"]["value"].to_string()
    };
    assert!(fetch("/big?bytes=1000").await.contains("\"status\":200"));
    for path in ["/big?bytes=1001", "/big?bytes=100000000", "/endless"] {
        let told = fetch(path).await;
        assert!(told.contains("ResponseTooLarge") && told.contains("1000"), "{path}: {told}");
    }
    let body = "x".repeat(1_001);
    let sent =
        scene.report("fetch", json!({ "url": format!("{lab}/echo"), "method": "POST", "body": body })).await;
    passed(&sent, "body-bytes", 1_000);
}

#[tokio::test]
async fn a_run_that_loops_fails_and_says_which_bound() {
    let scene = Scene::with(&["echo"]).await;
    scene.publish("workflow-loop").await;
    let workflow = "kind: workflow\nname: spin\npackage: probe/workflow-loop@0.1.0\nroles: { target: echo, other: echo }\n";
    scene.mallory().apply(workflow).await;
    let mallory = scene.mallory();
    let start = scene.host.request(Method::POST, "/run/mallory/spin").bearer_auth(&mallory.token);
    let answer = scene.beside(scene.host.ask(start.header("prefer", "respond-async"))).await.expect(202);
    let run = scene.beside(mallory.ended(answer.json()["run"].as_str().unwrap())).await;
    assert_eq!(run["run"]["status"], "failed", "{run}");
    assert_eq!(run["run"]["outcome"]["value"]["bound"], "fuel", "{run}");
}
