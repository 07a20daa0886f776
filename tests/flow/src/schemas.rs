//! Endpoints that speak the same schema fit each other without a mapping.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, LeadIntake, form, probe};

/// Two forms and two CRMs of different make, and each form to each CRM: a
/// trigger and a call, and nothing between them.
async fn all_ways() -> LeadIntake {
    let intake = LeadIntake::start().await;
    for package in ["desk-form", "desk-crm"] {
        intake.host.publish(probe(package)).await.expect(201);
    }
    let desks = ["desk-form", "desk-crm"].map(|it| Connection::probe(it).yaml());
    intake.acme().apply(&desks.join("---\n")).await;
    for from in ["website", "desk-form"] {
        for to in ["crm", "desk-crm"] {
            let workflow = format!(
                "kind: workflow\nname: {from}-{to}\n\
                 triggers:\n  - webhook: {{ connection: {from}, message: lead }}\n\
                 steps:\n  - call: {to}.create-lead\n    id: made\n    with: ${{ . }}\nanswer: ${{ $made }}\n"
            );
            intake.acme().apply(&workflow).await;
        }
    }
    intake
}

/// The runs that an answer names, ended: the workflow of each, and what it did.
async fn ended(intake: &LeadIntake, answer: Value) -> Vec<(String, Value)> {
    let mut ended = Vec::new();
    for run in answer["runs"].as_array().unwrap() {
        let shown = intake.acme().ended(run.as_str().unwrap()).await;
        ended.push((shown["run"]["workflow"].as_str().unwrap().to_owned(), shown));
    }
    ended.sort_by(|(a, _), (b, _)| a.cmp(b));
    ended
}

#[tokio::test]
async fn two_forms_and_two_crms_that_speak_lead_work_in_all_four_ways() {
    let intake = all_ways().await;
    let desk = json!({ "who": "Grace", "mail": "grace@navy.example", "desk": "amer", "asks": "Hello?" });
    let forms = [
        ("website", "Ada", intake.acme().hook("website/inquiry").form(&form("Ada"))),
        ("desk-form", "Grace", intake.acme().hook("desk-form/hook").json(&desk)),
    ];
    for (from, who, request) in forms {
        let answer = intake.host.ask(request).await.expect(202).json();
        let runs = ended(&intake, answer).await;
        let of = |workflow: String| &runs.iter().find(|(name, _)| *name == workflow).expect("a run of it").1;
        let real = of(format!("{from}-crm"));
        assert_eq!(real["run"]["status"], "succeeded", "{real}");
        assert!(real["run"]["outcome"].to_string().contains("/leads/"), "the CRM made one: {real}");
        let desk = of(format!("{from}-desk-crm"));
        assert!(desk["run"]["outcome"].to_string().contains(&format!(r#"\"contact\":\"{who}\""#)), "{desk}");
    }
    assert_eq!(intake.upstreams.effects().leads.len(), 3, "of each form one, and the intake's own");
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_refused_at_the_border_with_every_place() {
    let intake = all_ways().await;
    let wrong = json!({ "who": "", "mail": "no address", "desk": "amer" });
    let answer = intake.host.ask(intake.acme().hook("desk-form/hook").json(&wrong)).await;
    assert_eq!(answer.status, 502, "the form connector broke its word: {answer:?}");
    let call =
        intake.acme().api(Method::POST, "/connections/desk-crm/call/create-lead", "{\"name\":7}").await;
    assert_eq!(call.status, 422, "{call:?}");
    for place in ["/name", "email", "region", "message", "source"] {
        assert!(call.text.contains(place), "{place}: {call:?}");
    }
}
