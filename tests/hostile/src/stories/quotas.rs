//! A tenant that wants more in all than it may have, and a host that has no
//! more to give.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Answer, Connection, HostBuilder};

use crate::scene::Scene;

/// A workflow of mallory's that ends at once.
const WORKFLOW: &str = "kind: workflow\nname: storm\npackage: probe/workflow-random@0.1.0\n\
    roles: { target: echo, other: echo }\n";

async fn stormy(builder: HostBuilder) -> Scene {
    let scene = Scene::empty(builder).await;
    scene.publish("workflow-random").await;
    scene.mallory().apply(&format!("{}---\n{WORKFLOW}", Connection::probe("echo").yaml())).await;
    scene
}

/// The operator lets mallory have so much.
async fn allow(scene: &Scene, quotas: Value) {
    let spec = json!({ "name": "mallory", "quotas": quotas }).to_string();
    scene.host.operate(Method::PUT, "/tenants/mallory", spec).await.expect(200);
}

async fn start(scene: &Scene) -> Answer {
    let mallory = scene.mallory();
    let request = scene.host.request(Method::POST, "/run/mallory/storm").bearer_auth(&mallory.token);
    scene.host.ask(request.header("prefer", "respond-async").body("null")).await
}

async fn used(scene: &Scene, quota: &str) -> Value {
    let usage = scene.mallory().api(Method::GET, "/usage", "").await.expect(200).json();
    usage.as_array().unwrap().iter().find(|it| it["quota"] == quota).unwrap().clone()
}

fn refused(answer: &Answer, quota: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (429, "quota-used-up"), "{answer:?}");
    assert!(answer.text.contains(&format!("`{quota}` is used up")), "{answer:?}");
    let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after >= 1, "{answer:?}");
}

#[tokio::test]
async fn a_storm_of_runs_ends_at_the_quota_which_a_restart_does_not_forget() {
    const LIMIT: usize = 20;
    let mut scene = stormy(HostBuilder::default()).await;
    allow(&scene, json!({ "runs-per-day": LIMIT })).await;
    let storm = futures_of(&scene, 60);
    let answers = Box::pin(scene.beside(storm)).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, LIMIT, "callers at the same moment do not pass it together");
    answers.iter().filter(|answer| answer.status != 202).for_each(|answer| refused(answer, "runs-per-day"));
    assert_eq!(scene.runs().await, LIMIT, "who was refused has left nothing");
    let usage = used(&scene, "runs-per-day").await;
    assert_eq!(
        (&usage["used"], &usage["limit"], &usage["near"]),
        (&json!(LIMIT), &json!(LIMIT), &json!(true))
    );
    assert!(usage["resets-at"].is_string(), "{usage}");
    assert!(
        scene.host.log().contains("16 of 20 of the quota `runs-per-day` are used"),
        "{}",
        scene.host.log()
    );

    assert_eq!(scene.host.terminate().await, Some(0));
    scene.host.restart();
    refused(&start(&scene).await, "runs-per-day");
    allow(&scene, json!({ "runs-per-day": LIMIT + 1 })).await;
    start(&scene).await.expect(202);
}

async fn futures_of(scene: &Scene, count: usize) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..count / 4 {
        let (a, b, c, d) = tokio::join!(start(scene), start(scene), start(scene), start(scene));
        answers.extend([a, b, c, d]);
    }
    answers
}

#[tokio::test]
async fn a_tenant_that_fills_the_store_is_stopped_and_goes_on_when_there_is_room() {
    let scene = stormy(HostBuilder::default()).await;
    start(&scene).await.expect(202);
    let kept = used(&scene, "stored-bytes").await["used"].as_u64().unwrap();
    assert!(kept > 100, "{kept}");
    allow(&scene, json!({ "stored-bytes": kept })).await;
    refused(&scene.beside(start(&scene)).await, "stored-bytes");
    allow(&scene, json!({ "stored-bytes": kept + 1_000_000 })).await;
    start(&scene).await.expect(202);
}

#[tokio::test]
async fn requests_over_the_minutes_quota_are_denied_to_the_guest_and_not_to_others() {
    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let scene = Scene::empty(HostBuilder::default().open(closed)).await;
    scene.publish("fetch-many").await;
    let to = "http://127.0.0.1:9";
    scene
        .mallory()
        .apply(&Connection::probe("fetch-many").config("base-url", to).grant_http(to).yaml())
        .await;
    allow(&scene, json!({ "outbound-per-minute": 0 })).await;
    let wish = json!({ "url": format!("{to}/"), "count": 3 });
    let answer = scene.beside(scene.mallory().call("fetch-many", "go", wish)).await.expect(200);
    assert!(answer.text.contains("`outbound-per-minute` is used up"), "{answer:?}");
    assert_eq!(used(&scene, "outbound-per-minute").await["used"], 0);
}

#[tokio::test]
async fn logs_over_the_days_quota_are_not_kept_and_their_calls_go_on() {
    let scene = Scene::with(&["log-lines"]).await;
    let first = scene.report("log-lines", json!("x")).await;
    assert!(!first["log"].as_array().unwrap().is_empty(), "{first}");
    let logged = used(&scene, "log-bytes-per-day").await["used"].as_u64().unwrap();
    assert!(logged > 0);
    allow(&scene, json!({ "log-bytes-per-day": logged })).await;
    let report = scene.report("log-lines", json!("x")).await;
    let log = report["log"].as_array().unwrap();
    assert!(log.len() == 1 && log[0]["text"].as_str().unwrap().contains("are not kept"), "{report}");
}

#[tokio::test]
async fn a_host_short_of_disk_keeps_nothing_new_says_so_and_still_runs_guests() {
    let scene =
        stormy(HostBuilder::default().config(&format!("[health]\ndisk-reserve-bytes = {}", u64::MAX / 8)))
            .await;
    let refused = scene.beside(start(&scene)).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "host-short"), "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(scene.runs().await, 0);
    let ready = scene.host.ask(scene.host.request(Method::GET, "/readyz")).await.expect(503).json();
    assert_eq!(ready, json!({ "ready": false, "because": ["the host is short of disk"] }));
    scene.host.ask(scene.host.request(Method::GET, "/healthz")).await.expect(200);
}

#[tokio::test]
async fn a_host_short_of_memory_takes_no_call_and_says_when_to_come_again() {
    let builder =
        HostBuilder::default().config(&format!("[health]\nmemory-reserve-bytes = {}", u64::MAX / 8));
    let host = builder.start().await;
    host.publish(tests_harness::probe("echo")).await.expect(201);
    let mallory = host.tenant("mallory").await;
    mallory.apply(&Connection::probe("echo").yaml()).await;
    for answer in
        [mallory.call("echo", "go", json!(1)).await, host.ask(mallory.hook("echo/hook").body("x")).await]
    {
        assert!(matches!(answer.status, 429 | 503), "{answer:?}");
        assert!(
            answer.text.contains("short of memory") && answer.headers.contains_key("retry-after"),
            "{answer:?}"
        );
    }
    let ready = host.ask(host.request(Method::GET, "/readyz")).await.expect(503).json();
    assert_eq!(ready["because"], json!(["the host is short of memory"]));
}
