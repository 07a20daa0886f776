//! `wharf:workflow`: run, call, start, wait, wait-any, sleep.

use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, Tenant, Wire, eventually};

use crate::{result, run, set_up, workflow};

#[tokio::test]
async fn a_run_is_given_its_message_and_gives_one_json_text() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo", "workflow-call"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-call", "echo", "echo").await;
    let wish = |role: &str, input: Value| json!({ "role": role, "endpoint": "go", "input": input });
    let wishes = json!([wish("target", json!({ "n": 1 })), wish("other", json!("two"))]);
    let answer = run(&host, &acme, "workflow-call", wishes.clone()).await.expect(200).json();
    assert_eq!(answer["result"], json!([{ "ok": { "n": 1 } }, { "ok": "two" }]));
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    assert_eq!(shown["run"]["input"]["data"], wishes.to_string());
    assert_eq!(shown["steps"][1]["effect"]["connection"], "echo");
    assert_eq!(shown["steps"][1]["outcome"], json!({ "outcome": "answered", "value": "\"two\"" }));
}

#[tokio::test]
async fn a_role_or_endpoint_that_does_not_exist_is_not_found_and_the_run_goes_on() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo", "workflow-call"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-call", "echo", "echo").await;
    let wishes = json!([
        { "role": "targte", "endpoint": "go", "input": 1 },
        { "role": "target", "endpoint": "og", "input": 1 },
        { "role": "target", "endpoint": "hook", "input": 1 },
        { "role": "target", "endpoint": "go", "input": 1 },
    ]);
    let gave = result(&host, &acme, "workflow-call", wishes).await;
    for place in 0..3 {
        assert!(gave[place]["error"].as_str().unwrap().starts_with("CallError::NotFound"), "{gave}");
    }
    assert_eq!(gave[3], json!({ "ok": 1 }));
}

#[tokio::test]
async fn a_workflow_that_fails_is_a_failed_run_that_tells_why() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo", "workflow-fail"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-fail", "echo", "echo").await;
    let answer = run(&host, &acme, "workflow-fail", json!(1)).await.expect(502);
    assert_eq!(answer.code(), "run-failed");
    let shown = acme.run(answer.json()["run"].as_str().unwrap()).await;
    assert_eq!(shown["run"]["status"], "failed");
    assert_eq!(
        shown["run"]["outcome"]["value"],
        json!({ "error": "permanent", "detail": "the probe fails" })
    );
    assert_eq!(shown["steps"].as_array().unwrap().len(), 1, "what it did before is there");
}

async fn steps_of_the_only_run(acme: &Tenant<'_>) -> u64 {
    let runs = acme.api(reqwest::Method::GET, "/runs", "").await.expect(200).json();
    runs[0]["steps"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn calls_go_on_at_once_and_the_first_that_is_done_is_told() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let fetch = Connection::probe("fetch").config("base-url", wire.url()).grant_http(wire.url());
    let acme = set_up(&host, &["echo", "fetch", "workflow-any"], &[Connection::probe("echo"), fetch]).await;
    workflow(&acme, "workflow-any", "fetch", "echo").await;
    let wish = json!({ "url": format!("{}/hold", wire.url()) });
    let release = async {
        // `other` is over while `target` is held: then the order is certain.
        eventually("one of two is done", async || {
            (steps_of_the_only_run(&acme).await == 1 && wire.seen().len() == 1).then_some(())
        })
        .await;
        wire.release();
    };
    let (gave, ()) = tokio::join!(result(&host, &acme, "workflow-any", wish), release);
    assert_eq!(gave["first"], 1);
    let answers = gave["answers"].as_array().unwrap();
    assert!(answers.iter().all(|answer| answer.as_str().unwrap().starts_with("Ok(")), "{gave}");
}

#[tokio::test]
async fn a_sleep_is_a_step_of_the_run() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo", "workflow-sleep"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-sleep", "echo", "echo").await;
    let answer = run(&host, &acme, "workflow-sleep", json!({ "ms": 30 })).await.expect(200).json();
    assert!(answer["result"]["slept-ms"].as_u64() >= Some(30), "{answer}");
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    assert_eq!(shown["steps"][0]["effect"], json!({ "effect": "sleep", "ms": 30 }));
    assert_eq!(shown["steps"][0]["usage"]["fuel"], 0, "waiting costs no fuel");
}

#[tokio::test]
async fn the_sixty_fifth_call_at_once_is_permanent_and_the_others_are_answered() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let fetch = Connection::probe("fetch").config("base-url", wire.url()).grant_http(wire.url());
    let acme = set_up(&host, &["fetch", "many-pending"], &[fetch]).await;
    workflow(&acme, "many-pending", "fetch", "fetch").await;
    let wish = json!({ "url": format!("{}/hold", wire.url()) });
    let release = async {
        // The refused one is recorded at once; none of the held ones can be.
        eventually("one is refused", async || (steps_of_the_only_run(&acme).await == 1).then_some(())).await;
        wire.release();
    };
    let (gave, ()) = tokio::join!(result(&host, &acme, "many-pending", wish), release);
    assert_eq!(gave["ok"], 64);
    let errors = gave["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].as_str().unwrap().starts_with("CallError::Permanent"), "{gave}");
}
