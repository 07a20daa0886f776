//! A workflow in code that asks people first: `guests/examples/lead-approval`.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{HostBuilder, LeadIntake, eventually, example};

use crate::made::start;

async fn with_approval() -> LeadIntake {
    // The restarted host listens at another port.
    let config = "[server]\npublic-url = \"https://wharf.example\"";
    let intake = LeadIntake::start_with(HostBuilder::default().config(config)).await;
    intake.host.publish(example("lead-approval")).await.expect(201);
    let workflow =
        "kind: workflow\nname: approval\npackage: example/lead-approval@0.1.0\nroles: { chat: chat }\n";
    intake.acme().apply(workflow).await;
    intake
}

/// Starts a run, and gives the address that the sales channel got.
async fn ask(intake: &LeadIntake) -> (String, String) {
    let lead = json!({ "name": "Ada", "email": "ada@x.example", "region": "EMEA", "message": "Hi", "source": "web" });
    let id = start(intake, "approval", lead).await;
    let told = async || Some(intake.upstreams.effects().posts.last()?["text"].as_str()?.to_owned());
    let text = eventually("the address of the approval", told).await;
    (id, text.get(text.find("/events/").unwrap()..).unwrap().to_owned())
}

async fn decide(intake: &LeadIntake, path: &str, approved: bool) {
    let event = intake.host.request(Method::POST, path).header("content-type", "application/json");
    let answer = intake.host.ask(event.body(json!({ "approved": approved }).to_string())).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

fn answer(shown: &Value) -> Value {
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    serde_json::from_str(shown["run"]["outcome"]["value"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_lead_is_taken_in_once_somebody_approves_also_after_kill_9() {
    let mut intake = with_approval().await;
    let (id, path) = ask(&intake).await;
    assert!(intake.upstreams.effects().leads.is_empty());
    intake.host.kill();
    intake.host.restart();
    decide(&intake, &path, true).await;
    let done = answer(&intake.acme().ended(&id).await);
    let effects = intake.upstreams.effects();
    assert_eq!((effects.leads.len(), effects.messages.len(), effects.posts.len()), (1, 1, 2));
    assert_eq!((&done["approved"], done["intake"]["lead_id"].is_string()), (&json!(true), true), "{done}");
}

#[tokio::test]
async fn a_lead_that_is_turned_down_goes_nowhere() {
    let intake = with_approval().await;
    let (id, path) = ask(&intake).await;
    decide(&intake, &path, false).await;
    assert_eq!(answer(&intake.acme().ended(&id).await), json!({ "approved": false }));
    let effects = intake.upstreams.effects();
    assert_eq!((effects.leads.len(), effects.messages.len(), effects.posts.len()), (0, 0, 1));
}
