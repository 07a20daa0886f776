//! An outside system that has a bad minute, and a run that outlasts it.

use reqwest::Method;
use serde_json::json;
use tests_harness::LeadIntake;
use tests_upstreams::Fault;

use crate::made::{made, run, said};

#[tokio::test]
async fn a_system_that_is_unavailable_twice_is_asked_three_times_under_one_key() {
    let intake = LeadIntake::start().await;
    intake.upstreams.break_crm(Fault::status(503, 2));
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    let shown = intake.acme().ended(&run).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    let tries = shown["steps"][0]["tries"].as_array().unwrap();
    assert_eq!(tries.len(), 2, "{shown}");
    assert!(tries.iter().all(|one| one["kind"] == "retry" && one["at"].is_string()), "{tries:?}");

    let asked: Vec<_> =
        intake.upstreams.crm_received().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(asked.iter().map(|request| request.status).collect::<Vec<_>>(), [503, 503, 201]);
    let key = shown["steps"][0]["idempotency-key"].as_str();
    assert!(asked.iter().all(|request| request.idempotency_key.as_deref() == key), "{asked:?}");
    let effects = intake.upstreams.effects();
    assert_eq!((effects.leads.len(), effects.messages.len(), effects.posts.len()), (1, 1, 1));
}

#[tokio::test]
async fn a_run_whose_system_stays_unavailable_fails_and_says_what_was_tried() {
    let intake = LeadIntake::start().await;
    let mut spec = intake.acme().api(Method::GET, "/workflows/lead-intake", "").await.expect(200).json();
    spec["retry"] = serde_json::json!({ "tries": 2, "first-ms": 1, "longest-ms": 5 });
    intake.acme().api(Method::PUT, "/workflows/lead-intake", spec.to_string()).await.expect(200);
    intake.upstreams.break_crm(Fault::status(503, 9));
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    let shown = intake.acme().ended(&run).await;
    let failure = &shown["run"]["failure"];
    assert_eq!(failure["kind"], "retry", "{shown}");
    assert_eq!((&failure["step"]["number"], &failure["step"]["tries"]), (&0.into(), &2.into()));
    assert_eq!(failure["retry"]["tries"], 2);
    assert!(failure["bounds"]["fuel"].is_u64());
    assert!(shown["steps"][0]["gave-up"].as_str().unwrap().contains("`retry.tries`"), "{shown}");
}

#[tokio::test]
async fn a_retry_step_around_a_call_says_alone_how_often_it_is_tried_under_one_key() {
    let intake = LeadIntake::start().await;
    let steps = "\
steps:
- id: lead
  retry:
  - call: crm.create-lead
    with: ${ . }
  times: 6
  wait: 10ms
  at-most: 20ms
answer: ${ $lead }
";
    made(&intake, steps).await;
    let lead = json!({ "name": "Ada", "email": "ada@x.example", "region": "EMEA", "message": "Hi", "source": "web" });
    intake.upstreams.break_crm(Fault::status(503, 5));
    let shown = run(&intake, lead.clone()).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    assert_eq!(shown["steps"].as_array().unwrap().len(), 1, "one step, tried six times: {shown}");
    let asked: Vec<_> =
        intake.upstreams.crm_received().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(
        asked.iter().map(|request| request.status).collect::<Vec<_>>(),
        [503, 503, 503, 503, 503, 201]
    );
    let key = shown["steps"][0]["idempotency-key"].as_str();
    assert!(asked.iter().all(|request| request.idempotency_key.as_deref() == key), "{asked:?}");

    intake.upstreams.break_crm(Fault::status(503, 99));
    let shown = run(&intake, lead).await;
    assert!(said(&shown).contains("test.yaml:6: step `crm.create-lead`"), "{shown}");
    let asked =
        intake.upstreams.crm_received().into_iter().filter(|request| request.method == "POST").count();
    assert_eq!(asked, 12, "not four times six");
}
