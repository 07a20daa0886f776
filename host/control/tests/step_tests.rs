//! Tests of a workflow, or of a part of it, by the API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use host_model::digest::Digest;
use serde_json::{Value, json};
use world::*;

const STEPS: &str = "\
kind: workflow
name: keep
steps:
  - call: crm.create-lead
  - id: twice
    call: crm.create-lead
";

async fn with_steps() -> World {
    let world = World::with_reader().await;
    world.apply(STEPS, "tenant=acme").await.ok();
    world
}

async fn test(world: &World, workflow: &str, asked: Value) -> Answer {
    world.post(&format!("/tenants/acme/workflows/{workflow}/test"), asked.to_string()).await
}

/// What the runs were asked for.
fn asked_for(world: &World) -> Value {
    let asked = world.calls.asked.lock().unwrap();
    serde_json::from_str(asked.last().unwrap().strip_prefix("test ").unwrap()).unwrap()
}

#[tokio::test]
async fn a_step_is_tested_on_the_tree_of_its_part() {
    let world = with_steps().await;
    let wish = json!({ "step": "twice", "to-end": true, "given": { "lead": { "id": 7 } }, "input": { "n": 1 },
                       "answers": { "crm.create-lead": { "id": 8 } } });
    assert_eq!(test(&world, "keep", wish).await.ok()["run"]["id"], RUN);
    let asked = asked_for(&world);
    assert_eq!(asked["tested"], json!({ "step": "twice", "to-end": true, "live": false }));
    assert_eq!(
        (&asked["input"], &asked["answers"]),
        (&json!("{\"n\":1}"), &json!({ "crm.create-lead": "{\"id\":8}" }))
    );
    let digest: Digest = serde_json::from_value(asked["definition"].clone()).unwrap();
    let part: Value = serde_json::from_slice(&world.blobs.get(&digest).await.unwrap().unwrap()).unwrap();
    assert_eq!((&part["given"], &part["to-end"]), (&json!([["lead", { "id": 7 }]]), &json!(true)));
    assert_eq!(part["flow"]["text"], STEPS, "it is asked of the tree that runs interpret");
}

#[tokio::test]
async fn all_of_a_workflow_is_tested_on_what_it_is() {
    let world = with_steps().await;
    test(&world, "intake", json!({ "from-run": RUN })).await.ok();
    let asked = asked_for(&world);
    assert_eq!(
        (&asked["of"], &asked["definition"], &asked["input"]),
        (&json!(RUN), &Value::Null, &Value::Null)
    );
    test(&world, "keep", json!({ "live": true })).await.ok();
    assert_eq!(asked_for(&world)["tested"], json!({ "to-end": false, "live": true }));
}

#[tokio::test]
async fn errors_are_made_up_by_kind() {
    let world = with_steps().await;
    let errors = json!({ "crm.create-lead": [{ "error": "retry", "detail": "busy" }, { "error": "rate-limited", "detail": 7 },
                                             { "error": "rate-limited", "detail": null }] });
    test(&world, "keep", json!({ "errors": errors })).await.ok();
    assert_eq!(asked_for(&world)["errors"], errors);
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_and_nothing_is_run() {
    let world = with_steps().await;
    let refused =
        async |workflow: &str, wish: Value| test(&world, workflow, wish).await.refused(422, "invalid");
    assert!(refused("keep", json!({ "step": "thrice" })).await.contains("no such step"));
    assert!(refused("keep", json!({ "to-end": true })).await.contains("`step`"));
    assert!(refused("keep", json!({ "given": { "a": 1 } })).await.contains("`step`"));
    assert!(refused("intake", json!({ "step": "a" })).await.contains("is code"));
    assert!(refused("keep", json!({ "live": true, "answers": { "a.b": 1 } })).await.contains("`live`"));
    assert!(refused("keep", json!({ "live": true, "errors": { "a.b": [] } })).await.contains("`live`"));
    let nonsense = json!({ "errors": { "a.b": [{ "error": "sometimes", "detail": "" }] } });
    assert!(refused("keep", nonsense).await.contains("rate-limited"), "it names the kinds that there are");
    assert!(refused("keep", json!({ "stepp": "a" })).await.contains("step"));
    test(&world, "no-such", json!({})).await.refused(404, "not-found");
    assert!(!world.calls.asked.lock().unwrap().iter().any(|asked| asked.starts_with("test ")));
}
