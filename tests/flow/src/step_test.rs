//! Steps tried out with made-up or recorded answers, on the real host.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{LeadIntake, form};

/// The steps of the test: an approval, a lead in the CRM, a word in the chat.
const STEPS: &str = "\
kind: workflow
name: made
steps:
  - id: approval
    wait-for: approval
  - id: lead
    call: crm.create-lead
    with: ${ . }
  - id: told
    call: chat.post
    with: { channel: sales-emea, text: \"${ $lead.id } by ${ $approval.by }\" }
answer: ${ $told }
";

async fn made() -> LeadIntake {
    let intake = LeadIntake::start().await;
    intake.acme().apply(STEPS).await;
    intake
}

async fn test(intake: &LeadIntake, asked: Value) -> Value {
    let answer = intake.acme().api(Method::POST, "/workflows/made/test", asked.to_string()).await;
    answer.expect(200).json()
}

/// Nobody outside heard of it.
fn untouched(intake: &LeadIntake) {
    let effects = intake.upstreams.effects();
    assert!(
        effects.leads.is_empty() && effects.messages.is_empty() && effects.posts.is_empty(),
        "{effects:?}"
    );
}

#[tokio::test]
async fn a_step_and_those_after_it_are_played_with_given_answers_and_nothing_goes_out() {
    let intake = made().await;
    let asked = json!({
        "step": "lead", "to-end": true, "given": { "approval": { "by": "Ada" } }, "input": { "name": "Grace" },
        "answers": { "crm.create-lead": { "id": "4711" }, "chat.post": { "id": "c1" } },
    });
    let shown = test(&intake, asked).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    assert_eq!(shown["steps"].as_array().unwrap().len(), 2, "{shown}");
    assert!(shown["steps"].to_string().contains("4711 by Ada"), "{shown}");
    untouched(&intake);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_the_test_and_is_named() {
    let intake = made().await;
    let shown = test(&intake, json!({ "step": "lead", "input": { "name": "Grace" } })).await;
    assert_ne!(shown["run"]["status"], "succeeded", "{shown}");
    assert!(shown["run"]["outcome"].to_string().contains("crm.create-lead"), "{shown}");
    untouched(&intake);
}

#[tokio::test]
async fn made_up_errors_show_what_retry_and_catch_do() {
    let intake = LeadIntake::start().await;
    let steps = "\
kind: workflow
name: made
steps:
  - id: lead
    try:
      - retry:
          - call: crm.create-lead
            with: ${ . }
        times: 2
    on: conflict
    catch:
      - map: { id: known }
answer: ${ $lead }
";
    intake.acme().apply(steps).await;
    let asked = async |errors: Value| {
        let asked = json!({ "input": { "name": "Grace" }, "answers": { "crm.create-lead": { "id": "4711" } },
                            "errors": { "crm.create-lead": errors } });
        test(&intake, asked).await
    };
    let answer = |shown: &Value| {
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
        shown["run"]["outcome"]["value"].as_str().unwrap().to_owned()
    };
    let busy = json!({ "error": "retry", "detail": "busy" });
    let retried = asked(json!([busy])).await;
    assert!(answer(&retried).contains("4711"), "{retried}");
    assert_eq!(retried["steps"][0]["tries"][0]["kind"], "retry", "{retried}");
    let caught = asked(json!([busy, { "error": "conflict", "detail": "known already" }])).await;
    assert!(answer(&caught).contains("known"), "{caught}");
    let failed = asked(json!([busy, busy])).await;
    assert_eq!(failed["run"]["status"], "failed", "{failed}");
    assert!(failed["run"]["outcome"].to_string().contains("busy"), "{failed}");
    untouched(&intake);
    let letters = intake.acme().api(Method::GET, "/dead-letters", "").await.expect(200).json();
    assert_eq!(letters, json!([]), "{letters}");
    let runs = intake.acme().api(Method::GET, "/runs", "").await.expect(200).json();
    assert_eq!(runs, json!([]), "{runs}");
}

#[tokio::test]
async fn a_live_test_of_one_step_calls_the_real_connection_once() {
    let intake = made().await;
    let mut lead: serde_json::Map<_, _> =
        form("Ada").into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    lead.insert("source".to_owned(), json!("test"));
    let shown = test(&intake, json!({ "step": "lead", "input": lead, "live": true })).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    assert_eq!(intake.upstreams.effects().leads.len(), 1);
}
