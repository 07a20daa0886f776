//! Runs, as a person repairs them by the API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use axum::body::Body;
use serde_json::{Value, json};
use world::*;

fn path(what: &str) -> String {
    format!("/tenants/acme/runs/{RUN}/{what}")
}

#[tokio::test]
async fn an_order_is_traced_with_the_tokens_name_and_the_reason() {
    let world = World::with_lead().await;
    let scope = host_control::Scope::of("acme".parse().unwrap(), host_control::Role::Admin);
    let (token, text) = world
        .control
        .tokens
        .create(host_control::NewToken::lasting(scope, "ada"), &host_audit::Act::of_host("test"))
        .await
        .unwrap();
    let send =
        async |what: &str, body: Body| world.send("POST", &path(what), Some(text.reveal_once()), body).await;
    for (what, order) in [("pause", "Pause"), ("cancel", "Cancel"), ("terminate", "Terminate")] {
        let run = send(what, json!({ "why": "the CRM is down" }).to_string().into()).await.ok();
        let trace = &run["interventions"][0];
        assert_eq!((&trace["what"], &trace["why"]), (&json!(order), &json!("the CRM is down")));
        assert_eq!(trace["who"], format!("ada ({})", token.id));
    }
    assert_eq!(send("pause", Body::empty()).await.ok()["interventions"][0]["why"], "");
    send("resume", Body::empty()).await.refused(409, "run-state");
    send("pause", json!({ "wy": 1 }).to_string().into()).await.refused(422, "invalid");
    send("explode", Body::empty()).await.refused(404, "not-found");
}

#[tokio::test]
async fn one_run_is_replayed_and_what_does_not_fit_is_refused() {
    let world = World::with_lead().await;
    let made = world.post(&path("replay"), json!({ "from": "failed" }).to_string()).await;
    assert_eq!((made.status.as_u16(), made.ok()["replayed-as"].clone()), (202, json!(MADE)));
    let edited = json!({ "from": "start", "input": { "name": "Grace" }, "current": true, "dry-run": true });
    world.post(&path("replay"), edited.to_string()).await.ok();
    let detail =
        world.post(&path("replay"), json!({ "from": 7 }).to_string()).await.refused(422, "no-such-step");
    assert!(detail.contains("step 7"), "{detail}");
    for bad in
        [json!({}), json!({ "from": "midway" }), json!({ "from": -1 }), json!({ "from": "start", "x": 1 })]
    {
        world.post(&path("replay"), bad.to_string()).await.refused(422, "invalid");
    }
    world.delete("/tenants/acme/schedules/nightly").await.ok();
    world.delete("/tenants/acme/workflows/intake").await.ok();
    let current = json!({ "from": "start", "current": true }).to_string();
    world.post(&path("replay"), current).await.refused(422, "no-current-version");
}

#[tokio::test]
async fn all_that_match_are_replayed_with_an_answer_for_each() {
    let world = World::with_lead().await;
    let all = "/tenants/acme/runs/replay";
    let body = json!({ "from": "failed", "request": "tuesday" }).to_string();
    let answer = world.post(&format!("{all}?status=succeeded"), body.clone()).await.ok();
    assert_eq!(answer, json!([{ "run": RUN, "replayed-as": MADE }]));
    let again = world.post(&format!("{all}?status=succeeded"), body.clone()).await.ok();
    assert_eq!(again[0]["before"], true, "sent again it repeats nothing");
    let none = world.post(&format!("{all}?status=succeeded&workflow=other"), body.clone()).await.ok();
    assert_eq!(none, json!([]));
    let one = world.post(&format!("{all}?status=succeeded&limit=1"), body.clone()).await;
    assert!(one.headers["link"].to_str().unwrap().contains(RUN), "the next page goes on there");

    let refused = json!({ "from": 7, "request": "r" }).to_string();
    let answer: Value = world.post(&format!("{all}?status=succeeded"), refused).await.ok();
    assert_eq!(answer[0]["error"]["code"], "no-such-step", "one run's refusal is its own");

    for query in ["", "?status=accepted", "?status=nonsense"] {
        let answer = world.post(&format!("{all}{query}"), body.clone()).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{query}: {}", answer.text);
    }
    world
        .post(&format!("{all}?status=failed"), json!({ "from": "start" }).to_string())
        .await
        .refused(422, "invalid");
}

#[tokio::test]
async fn dead_letters_are_listed_and_dismissed_one_or_all_that_match() {
    let world = World::with_lead().await;
    let list = "/tenants/acme/dead-letters";
    let letters = world.get(list).await.ok();
    assert_eq!((&letters[0]["run"]["id"], &letters[0]["gave-up"]), (&json!(RUN), &json!("tried")));
    assert_eq!(world.get(&format!("{list}?kind=permanent")).await.ok(), json!([]));
    assert_eq!(world.get(&format!("{list}?workflow=intake&kind=retry")).await.ok()[0]["run"]["id"], RUN);
    let page = world.get(&format!("{list}?limit=1")).await;
    assert!(page.headers["link"].to_str().unwrap().contains(RUN), "the next page goes on there");
    for bad in ["?kid=retry", "?workflow=No%20name", "?after=nothing", "?limit=x"] {
        let answer = world.get(&format!("{list}{bad}")).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{bad}: {}", answer.text);
    }

    let run = world.post(&path("dismiss"), json!({ "why": "done by hand" }).to_string()).await.ok();
    let trace = &run["interventions"][0];
    assert_eq!((&trace["what"], &trace["why"]), (&json!("dismissed"), &json!("done by hand")));
    world.post(&path("dismiss"), json!({ "why": "again" }).to_string()).await.refused(409, "run-state");
    world.post(&path("dismiss"), json!({ "y": 1 }).to_string()).await.refused(422, "invalid");
    let other = format!("/tenants/acme/runs/{MADE}/dismiss");
    world.post(&other, "{}".to_owned()).await.refused(404, "not-found");

    let all = format!("{list}/dismiss");
    assert_eq!(world.post(&format!("{all}?kind=retry"), "{}".to_owned()).await.ok(), json!([{ "run": RUN }]));
    let told = world.post(&all, json!({ "why": "again" }).to_string()).await.ok();
    assert_eq!(told[0]["error"], "it is not on the list", "one run's refusal is its own");
    assert_eq!(world.post(&format!("{all}?kind=permanent"), "{}".to_owned()).await.ok(), json!([]));
}
