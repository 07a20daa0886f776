//! Workflows that are written as steps: read by a guest, kept as they were written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use host_model::digest::Digest;
use host_model::name::{FieldName, TenantId};
use serde_json::json;
use world::*;

const STEPS: &str = "\
# keeps every lead
kind: workflow
name: keep
triggers:
  - webhook: { connection: web-form, message: lead }
steps:
  - call: crm.create-lead
  - id: twice
    call: crm.create-lead
";

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn steps_become_a_workflow_that_the_interpreter_runs_on_their_tree() {
    let world = World::with_reader().await;
    world.apply(STEPS, "tenant=acme").await.ok();
    let workflow = world.routes.routes.workflow(&acme(), &"keep".parse().unwrap()).unwrap();
    assert_eq!(workflow.package.package.to_string(), "wharf/flow@0.1.0");
    let crm: FieldName = "crm".parse().unwrap();
    assert_eq!(workflow.roles[&crm].as_str(), "crm");
    let endpoints = &workflow.package.manifest.roles[&crm].endpoints;
    assert_eq!(endpoints.iter().map(|it| it.as_str()).collect::<Vec<_>>(), ["create-lead"]);
    let tree = world.blobs.get(&workflow.definition.unwrap()).await.unwrap().unwrap();
    assert_eq!(workflow.definition, Some(Digest::of(&tree)));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&tree).unwrap()["file"], "lead.yaml");
    let asked = world.calls.asked.lock().unwrap().join("\n");
    assert!(asked.contains(r#""crm":{"create-lead":{}}"#), "it is told what there is: {asked}");
}

#[tokio::test]
async fn the_reader_is_told_the_schemas_that_endpoints_take() {
    let world = World::with_reader().await;
    let takes = CRM.replace("0.1.0", "0.2.0").replace("[config", "takes = \"lead@1\"\n[config");
    world.post("/packages", package(&takes)).await;
    let newer = LEAD.replace("example/crm@0.1.0", "example/crm@0.2.0");
    world.apply(&format!("{newer}---\n{STEPS}"), "tenant=acme").await.ok();
    let asked = world.calls.asked.lock().unwrap().join("\n");
    assert!(asked.contains(r#""create-lead":{"takes":"lead@1"}"#), "{asked}");
    assert!(asked.contains(r#""schemas":{"lead@1":{"#), "{asked}");
}

#[tokio::test]
async fn what_was_applied_is_given_back_and_the_same_again_changes_nothing() {
    let world = World::with_reader().await;
    world.apply(STEPS, "tenant=acme").await.ok();
    let kept = world.get("/tenants/acme/workflows/keep").await.ok();
    assert_eq!(kept["source"]["text"], STEPS);
    assert_eq!(kept["source"]["file"], "lead.yaml");
    let before = world.stored().await;
    assert_eq!(world.apply(STEPS, "tenant=acme").await.ok()[0]["action"], "unchanged");
    assert_eq!(world.put("/tenants/acme/workflows/keep", kept).await.ok()["action"], "unchanged");
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn what_a_caller_says_was_checked_is_not_believed() {
    let world = World::with_reader().await;
    world.apply(STEPS, "tenant=acme").await.ok();
    let mut kept = world.get("/tenants/acme/workflows/keep").await.ok();
    let own = kept["source"]["checked"]["definition"].clone();
    kept["source"]["checked"]["definition"] = json!(Digest::of(b"another tenant's"));
    kept["source"]["checked"]["package"] = json!("example/intake@0.1.0");
    world.put("/tenants/acme/workflows/keep", kept).await.ok();
    let after = world.get("/tenants/acme/workflows/keep").await.ok();
    assert_eq!(after["source"]["checked"]["definition"], own);
    assert_eq!(after["source"]["checked"]["package"], "wharf/flow@0.1.0");
}

#[tokio::test]
async fn steps_may_come_as_json_too() {
    let world = World::with_reader().await;
    let body = json!({ "name": "keep", "steps": [{ "call": "crm.create-lead" }] });
    world.put("/tenants/acme/workflows/keep", body).await.ok();
    assert!(world.routes.routes.resolve_run("acme", "keep").is_ok());
}

#[tokio::test]
async fn every_mistake_is_told_with_its_file_and_line_and_nothing_is_applied() {
    let world = World::with_reader().await;
    let before = world.stored().await;
    let refused = async |text: &str, query: &str| {
        world.apply(text, &format!("tenant=acme{query}")).await.refused(422, "invalid")
    };
    let second =
        format!("{}---\n{}", STEPS, STEPS.replace("keep", "other").replace("call: crm.", "bad-step: crm."));
    let detail = refused(&second, "").await;
    assert!(detail.contains("lead.yaml line 17:1: workflow `other`: unknown step `bad-step`"), "{detail}");
    assert!(detail.contains("lead.yaml line 19:1: "), "both of them: {detail}");
    // What cannot be read at all does not hide what is wrong with the steps.
    let detail = refused(&format!("{second}---\nkind: workflow\nnaem: x\n"), "&dry-run=true").await;
    assert!(detail.contains("line 17:1: ") && detail.contains("unknown key `naem`"), "{detail}");

    for (from, to, want) in [
        (
            "crm.create-lead\n  - id",
            "cmr.create-lead\n  - id",
            "lead.yaml:7: connection `cmr` does not exist (did you mean `crm`?)",
        ),
        (
            "crm.create-lead\n  - id",
            "crm.create-led\n  - id",
            "offers no outbound endpoint `create-led` (did you mean `create-lead`?)",
        ),
        ("name: keep", "name: keep\npackage: example/intake@0.1.0", "it has `steps` and a `package`"),
        ("name: keep", "name: keep\nroles: { crm: crm }", "`roles` are for workflows in code"),
        ("call: crm.create-lead\n  - id", "bomb: 1\n  - id", "the steps cannot be checked"),
        ("call: crm.create-lead\n  - id", "a: &a [*a]\n  - id", "lead.yaml line"),
        ("message: lead", "message: lead, when: '||| .x'", "triggers: `||| .x` is no jq: unexpected `|`"),
        (
            "message: lead",
            "message: lead, deduplicate: { key: ., window-s: 99999999 }",
            "the most is 2678400",
        ),
        ("message: lead", "message: lead, deduplicate: { key: ., window: 5 }", "did you mean `window-s`?"),
    ] {
        assert!(STEPS.contains(from), "{from}");
        let detail = refused(&STEPS.replacen(from, to, 1), "").await;
        assert!(detail.contains(want), "{want}: {detail}");
    }
    let neither = refused("kind: workflow\nname: x\n", "").await;
    assert!(neither.contains("neither `steps` nor a `package`"), "{neither}");
    let long = format!("{STEPS}{}", "# \n".repeat(20_000));
    assert!(refused(&long, "").await.contains("the limit is 49152"));
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn several_files_in_one_text_keep_their_own_lines() {
    let world = World::with_reader().await;
    let text = format!("kind: connection\nname: two\npackage: example/web-form@0.1.0\n---\n{STEPS}");
    let parts = "parts=%5B%5B%22a.yaml%22%2C0%5D%2C%5B%22b.yaml%22%2C4%5D%5D";
    world.apply(&text, &format!("tenant=acme&{parts}")).await.ok();
    let source = world.get("/tenants/acme/workflows/keep").await.ok()["source"].clone();
    assert_eq!(source["file"], "b.yaml");
    assert_eq!(source["checked"]["uses"][0]["line"], 7);
}

#[tokio::test]
async fn a_warning_does_not_keep_a_workflow_out() {
    let world = World::with_reader().await;
    let done = world.apply(&STEPS.replace("twice", "odd"), "tenant=acme").await.ok();
    assert_eq!(done[0]["warnings"], json!(["lead.yaml line 8:1: odd"]));
}

#[tokio::test]
async fn a_connection_that_steps_call_is_not_deleted() {
    let world = World::with_reader().await;
    world.delete("/tenants/acme/schedules/nightly").await.ok();
    world.delete("/tenants/acme/workflows/intake").await.ok();
    world.apply(STEPS, "tenant=acme").await.ok();
    let detail = world.delete("/tenants/acme/connections/crm").await.refused(409, "in-use");
    assert!(detail.contains("workflow `keep`: lead.yaml:7"), "{detail}");
}

#[tokio::test]
async fn a_host_without_the_builtin_packages_says_so() {
    let world = World::with_lead().await;
    let detail = world.apply(STEPS, "tenant=acme").await.refused(422, "invalid");
    assert!(detail.contains("lacks the builtin package `wharf/expression`"), "{detail}");
}

#[tokio::test]
async fn a_message_is_published_by_hand() {
    let world = World::with_lead().await;
    let done = world.post("/tenants/acme/topics/leads", "{}").await;
    assert_eq!(done.status, 202);
    assert_eq!(done.ok()["runs"], json!([RUN]));
    assert_eq!(world.post("/tenants/acme/topics/others", "{}").await.ok()["runs"], json!([]));
    world.post("/tenants/acme/topics/leads", "\"refuse\"").await.refused(422, "invalid");
    world.post("/tenants/acme/topics/leads", "{").await.refused(400, "bad-request");
    world.post("/tenants/acme/topics/No!", "{}").await.refused(404, "not-found");
}

#[tokio::test]
async fn workflows_that_start_each_other_without_end_are_refused_and_where_something_decides_warned_of() {
    let world = World::with_reader().await;
    let made = |name: &str, triggers: &str, steps: &str| {
        format!("kind: workflow\nname: {name}\n{triggers}steps:\n  - {steps}\n---\n")
    };
    let on = |rest: &str| format!("triggers: [ {{ topic: {{ name: leads{rest} }} }} ]\n");
    let two = |a: &str, triggers: &str, b: &str| made("a", "", a) + &made("b", triggers, b);
    for (text, line, want) in [
        (made("a", "", "start-workflow: a"), 4, "workflow `a`: this starts `a` again, and so on without end"),
        (two("start-workflow: b", "", "start-workflow: a"), 4, "this starts `b`, which starts `a` again"),
        (
            two("start-topic: leads", &on(""), "start-workflow: a"),
            4,
            "this starts `b`, which starts `a` again",
        ),
    ] {
        let detail = world.apply(&text, "tenant=acme").await.refused(422, "invalid");
        assert!(detail.contains(&format!("lead.yaml line {line}: ")) && detail.contains(want), "{detail}");
    }
    // The second closes the circle, and is the one that is told.
    world.apply(&made("b", "", "start-workflow: a?"), "tenant=acme").await.ok();
    let done = world.apply(&made("a", "", "start-workflow: b"), "tenant=acme").await.ok();
    let warning = done[0]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("lead.yaml line 4: workflow `a`: this may start `b`, which"), "{warning}");
    let again = world.apply(&made("b", "", "start-workflow: a"), "tenant=acme").await.refused(422, "invalid");
    assert!(again.contains("workflow `b`: this starts `a`, which starts `b` again"), "{again}");
    for text in [
        two("start-topic: leads", &on(", when: .n"), "start-workflow: a"),
        two("start-topic: leads", "", "start-workflow: a"),
    ] {
        world.apply(&text, "tenant=acme&dry-run=true").await.ok();
    }
}
