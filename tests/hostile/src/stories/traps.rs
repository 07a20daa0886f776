//! A guest that crashes: its owner learns what and where, a stranger does not.

use reqwest::Method;
use serde_json::json;

use crate::scene::Scene;

const PANIC: &str = "the probe panics, given";
const PLACE: &str = "trap.rs:9";

#[tokio::test]
async fn a_trap_is_told_to_its_tenant_and_kept_from_strangers() {
    let scene = Scene::with(&["trap"]).await;

    let stranger = scene.knock("trap", "a stranger's body").await.expect(502);
    assert_eq!(stranger.code(), "connector-failed");
    for secret in ["panics", "trap.rs", "unreachable", "stranger"] {
        assert!(!stranger.text.contains(secret), "{stranger:?}");
    }
    let log = scene.host.log();
    assert!(
        log.contains("the probe panics, given a stranger's body") && log.contains(PLACE),
        "the operator can see it: {log}"
    );
    assert!(log.contains("mallory") && log.contains("unreachable"), "{log}");

    let tenant = scene.mallory().call("trap", "go", json!(7)).await.expect(502);
    assert_eq!(tenant.code(), "connector-crashed");
    let report = scene.report("trap", json!(7)).await;
    assert_eq!(report["outcome"]["outcome"], "trapped", "{report}");
    let line = report["log"][0]["text"].as_str().unwrap();
    assert!(line.contains(&format!("{PANIC} 7")) && line.contains(PLACE), "{line}");
}

#[tokio::test]
async fn a_step_that_traps_fails_alone_and_its_run_shows_message_and_place() {
    let scene = Scene::with(&["trap", "echo"]).await;
    scene.publish("workflow-call").await;
    let workflow = "kind: workflow\nname: calls\npackage: probe/workflow-call@0.1.0\nroles: { target: trap, other: echo }\n";
    let mallory = scene.mallory();
    mallory.apply(workflow).await;
    let wishes = json!([
        { "role": "target", "endpoint": "go", "input": 1 },
        { "role": "other", "endpoint": "go", "input": 2 },
    ]);
    let start = scene.host.request(Method::POST, "/run/mallory/calls").bearer_auth(&mallory.token);
    let answer =
        scene.beside(scene.host.ask(start.header("prefer", "respond-async").json(&wishes))).await.expect(202);
    let run = mallory.ended(answer.json()["run"].as_str().unwrap()).await;

    assert_eq!(run["run"]["status"], "succeeded", "the workflow caught it: {run}");
    assert_eq!(run["steps"][0]["outcome"]["outcome"], "trapped", "{run}");
    assert!(run["steps"][0]["log"][0]["text"].as_str().unwrap().contains(PLACE), "{run}");
    assert_eq!(run["steps"][1]["outcome"]["outcome"], "answered", "{run}");
}

#[tokio::test]
async fn a_guest_that_never_comes_to_its_end_ends_at_a_bound_with_nothing_kept() {
    let scene = Scene::with(&["panic-words"]).await;
    let report = scene.report("panic-words", json!(null)).await;
    assert_eq!(report["outcome"]["value"]["bound"], "host-call-bytes", "{report}");
    assert_eq!(report["log"], json!([]), "a text that has no end is no line: {report}");
}
