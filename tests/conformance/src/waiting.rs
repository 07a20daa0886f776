//! `wharf:workflow`: what a run waits for: events, instants, and being cancelled.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Answer, Connection, Host, HostBuilder, Tenant, Wire, eventually};

use crate::{gave, run, set_up, started, workflow};

/// The address that the probe was given for its event: it called its target with it.
async fn address(acme: &Tenant<'_>, run: &str) -> String {
    eventually("the run tells the address of its event", async || {
        let shown = acme.run(run).await;
        let call = shown["steps"].as_array()?.iter().find(|step| step["effect"]["effect"] == "call")?;
        let input: Value = serde_json::from_str(call["effect"]["input"].as_str()?).unwrap();
        Some(input["url"].as_str()?.to_owned())
    })
    .await
}

async fn post(host: &Host, url: &str, body: &str) -> Answer {
    let path = url.strip_prefix(&host.url("")).unwrap_or_else(|| panic!("{url} is not of this host"));
    host.ask(host.request(Method::POST, path).body(body.to_owned())).await
}

/// Two connections of the probe that a test needs no outside system for.
async fn simple<'h>(host: &'h Host, probe: &str) -> Tenant<'h> {
    let acme = set_up(host, &["echo", probe], &[Connection::probe("echo")]).await;
    workflow(&acme, probe, "echo", "echo").await;
    acme
}

#[tokio::test]
async fn the_address_of_an_event_works_once_and_with_its_own_secret_only() {
    let host = Host::start().await;
    let acme = simple(&host, "workflow-event").await;
    let id = started(&host, &acme, "workflow-event", json!({ "name": "approved" })).await;
    let url = address(&acme, &id).await;
    let (head, tag) = url.rsplit_once('-').unwrap();
    let wrong = format!("{head}-{}", "0".repeat(tag.len()));
    assert_eq!(post(&host, &wrong, "1").await.expect(404).code(), "no-route");
    post(&host, &url.replace("/approved/", "/refused/"), "1").await.expect(404);
    post(&host, &url, "{").await.expect(400);
    post(&host, &url, "{\"by\":\"Ada\"}").await.expect(204);
    let second = post(&host, &url, "{\"by\":\"Bob\"}").await;
    assert!([409, 410].contains(&second.status), "{second:?}");
    assert_eq!(gave(&acme, &id).await, json!({ "ok": { "by": "Ada" } }));
    assert_eq!(post(&host, &url, "1").await.expect(410).code(), "run-over");
}

#[tokio::test]
async fn an_event_by_the_api_is_kept_until_the_run_asks_for_it() {
    let host = Host::start().await;
    let acme = simple(&host, "workflow-event").await;
    let id = started(&host, &acme, "workflow-event", json!({ "name": "approved" })).await;
    let path = format!("/runs/{id}/events/approved");
    acme.api(Method::POST, &path, "[1]").await.expect(204);
    let second = acme.api(Method::POST, &path, "[2]").await;
    assert!([409, 410].contains(&second.status), "{second:?}");
    assert_eq!(gave(&acme, &id).await, json!({ "ok": [1] }));
    let globex = host.tenant("globex").await;
    globex.api(Method::POST, &path, "[3]").await.expect(404);
}

#[tokio::test]
async fn an_event_that_does_not_come_in_time_is_not_found() {
    let host = Host::start().await;
    let acme = simple(&host, "workflow-event").await;
    let wish = json!({ "name": "approved", "timeout-ms": 20 });
    let answer = run(&host, &acme, "workflow-event", wish).await.expect(200).json();
    let error = answer["result"]["error"].as_str().unwrap();
    assert!(error.starts_with("CallError::NotFound"), "{error}");
    let answer = run(&host, &acme, "workflow-event", json!({ "name": "../x" })).await.expect(200).json();
    let error = answer["result"]["error"].as_str().unwrap();
    assert!(error.starts_with("CallError::InvalidInput"), "{error}");
}

#[tokio::test]
async fn the_first_reply_answers_the_caller_and_the_run_goes_on() {
    let host = Host::start().await;
    let acme = simple(&host, "workflow-reply").await;
    let answer = run(&host, &acme, "workflow-reply", json!(null)).await.expect(200).json();
    assert_eq!(answer["result"], "early");
    let id = answer["run"].as_str().unwrap();
    let shown = acme.run(id).await;
    assert!(["accepted", "waiting"].contains(&shown["run"]["status"].as_str().unwrap()), "{shown}");
    acme.api(Method::POST, &format!("/runs/{id}/events/go-on"), "7").await.expect(204);
    assert_eq!(gave(&acme, id).await, json!(7));
    assert_eq!(acme.run(id).await["run"]["reply"], "\"early\"");
}

#[tokio::test]
async fn what_undoes_a_cancelled_run_is_called_last_first() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let fetch = Connection::probe("fetch").config("base-url", wire.url()).grant_http(wire.url());
    let acme = set_up(&host, &["fetch", "workflow-undo"], &[fetch]).await;
    workflow(&acme, "workflow-undo", "fetch", "fetch").await;
    let undo = |what: &str| json!({ "url": format!("{}/{what}", wire.url()) });
    let id = started(&host, &acme, "workflow-undo", json!([undo("first"), undo("second")])).await;
    eventually("the run waits", async || (acme.run(&id).await["run"]["status"] == "waiting").then_some(()))
        .await;
    assert!(wire.seen().is_empty(), "nothing is undone before it is cancelled");
    let why = json!({ "why": "the customer went away" });
    acme.api(Method::POST, &format!("/runs/{id}/cancel"), why.to_string()).await.expect(200);
    let shown = acme.ended(&id).await;
    assert_eq!(shown["run"]["status"], "cancelled", "{shown}");
    assert_eq!(shown["run"]["interventions"][0]["why"], why["why"]);
    let seen: Vec<_> = wire.seen().iter().map(|seen| seen.target().to_owned()).collect();
    assert_eq!(seen, ["/second", "/first"]);
}

#[tokio::test]
async fn a_pause_is_a_limit_on_a_call_and_a_sleep_lasts_until_its_instant() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let fetch = Connection::probe("fetch").config("base-url", wire.url()).grant_http(wire.url());
    let acme = set_up(&host, &["fetch", "workflow-limit"], &[fetch]).await;
    workflow(&acme, "workflow-limit", "fetch", "fetch").await;
    let held = json!({ "url": format!("{}/hold", wire.url()), "ms": 30 });
    let release = async {
        // The limit is over and recorded, while the call is held: then the order is certain.
        let runs = async || acme.api(Method::GET, "/runs", "").await.expect(200).json();
        eventually("the limit is over", async || (runs().await[0]["steps"] == 1).then_some(())).await;
        wire.release();
    };
    let (answer, ()) = tokio::join!(run(&host, &acme, "workflow-limit", held), release);
    let answer = answer.expect(200).json();
    assert_eq!(
        answer["result"],
        json!({ "first": 1, "gave": "Ok(\"null\")", "before": true, "after": true })
    );
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    let effects: Vec<_> =
        shown["steps"].as_array().unwrap().iter().map(|it| &it["effect"]["effect"]).collect();
    assert_eq!(effects, ["sleep", "call", "sleep-until"]);
}
