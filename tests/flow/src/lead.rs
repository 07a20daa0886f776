//! One lead, in every form a browser or program may send it.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Answer, LeadIntake, form};
use tests_upstreams::Fault;

fn lead(name: &str) -> Value {
    form(name)
        .into_iter()
        .map(|(field, value)| (field.to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

async fn arrives(intake: &LeadIntake, answer: Answer) {
    let run = LeadIntake::run_of(&answer.expect(202));
    let shown = intake.acme().ended(&run).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    let effects = intake.upstreams.effects();
    assert_eq!((effects.leads.len(), effects.messages.len(), effects.posts.len()), (1, 1, 1));
    for system in
        [intake.upstreams.crm_received(), intake.upstreams.mail_received(), intake.upstreams.chat_received()]
    {
        let sent: Vec<_> = system.iter().filter(|request| request.method == "POST").collect();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].credential, tests_upstreams::Credential::Right, "{sent:?}");
    }
}

#[tokio::test]
async fn a_browsers_form_reaches_three_systems_with_their_credentials() {
    let intake = LeadIntake::start().await;
    let answer = intake.visitor("Ada").await;
    arrives(&intake, answer).await;
}

#[tokio::test]
async fn the_same_as_json_arrives_the_same() {
    let intake = LeadIntake::start().await;
    let answer = intake.host.ask(intake.acme().hook("website/inquiry").json(&lead("Ada"))).await;
    arrives(&intake, answer).await;
}

#[tokio::test]
async fn the_same_as_multipart_arrives_the_same() {
    let intake = LeadIntake::start().await;
    let mut parts = reqwest::multipart::Form::new();
    for (field, value) in form("Ada") {
        parts = parts.text(field, value);
    }
    let answer = intake.host.ask(intake.acme().hook("website/inquiry").multipart(parts)).await;
    arrives(&intake, answer).await;
}

#[tokio::test]
async fn a_caller_that_waits_gets_the_result() {
    let intake = LeadIntake::start().await;
    let hook = intake.acme().hook("website/inquiry").header("prefer", "wait=20").form(&form("Ada"));
    let answer = intake.host.ask(hook).await.expect(200);
    let result = &answer.json()["result"];
    for field in ["lead_id", "lead_url", "mail_id", "chat_id"] {
        assert!(result[field].is_string(), "{field} in {result}");
    }
}

#[tokio::test]
async fn a_run_shows_its_steps_inputs_outputs_and_work() {
    let intake = LeadIntake::start().await;
    let answer = intake.visitor("Ada").await.expect(202);
    let run = LeadIntake::run_of(&answer);
    let shown = intake.acme().ended(&run).await;

    let steps = shown["steps"].as_array().unwrap();
    let of = |index: usize| {
        (
            steps[index]["effect"]["role"].as_str().unwrap(),
            steps[index]["effect"]["endpoint"].as_str().unwrap(),
        )
    };
    assert_eq!(of(0), ("crm", "create-lead"));
    assert_eq!([of(1), of(2)], [("mail", "send"), ("chat", "post")]);
    for step in steps {
        assert_eq!(step["outcome"]["outcome"], "answered", "{step}");
        assert!(step["effect"]["input"].is_string());
        assert!(step["usage"]["fuel"].as_u64().unwrap() > 0);
        assert!(step["usage"]["peak-memory"].as_u64().unwrap() > 0);
        assert_eq!(step["usage"]["outbound-calls"], 1);
    }
    assert!(shown["run"]["usage"]["wall-us"].as_u64().unwrap() > 0);

    let listed = intake.acme().api(Method::GET, "/runs", "").await.expect(200).json();
    assert_eq!(listed[0]["id"], run.as_str());
}

#[tokio::test]
async fn the_same_idempotency_key_starts_one_run() {
    let intake = LeadIntake::start().await;
    let send = |name: &'static str| {
        let hook =
            intake.acme().hook("website/inquiry").header("idempotency-key", "form-1").form(&form(name));
        intake.host.ask(hook)
    };
    let first = LeadIntake::run_of(&send("Ada").await.expect(202));
    let again = LeadIntake::run_of(&send("Ada").await.expect(202));
    assert_eq!(first, again);
    assert_eq!(send("Grace").await.expect(422).code(), "idempotency-key-reused");
    intake.acme().ended(&first).await;
    assert_eq!(intake.upstreams.effects().leads.len(), 1);
}

#[tokio::test]
async fn a_connector_that_declines_fails_the_run_and_says_why() {
    let intake = LeadIntake::start().await;
    intake.upstreams.break_crm(Fault::status(409, 1));
    let run = LeadIntake::run_of(&intake.visitor("Ada").await.expect(202));
    let shown = intake.acme().ended(&run).await;
    assert_eq!(shown["run"]["status"], "failed");
    assert_eq!(shown["steps"][0]["outcome"]["outcome"], "declined");
    assert_eq!(shown["steps"][0]["outcome"]["value"]["error"], "conflict");
    assert_eq!(
        intake.upstreams.effects().messages.len(),
        0,
        "nobody was greeted for a lead that does not exist"
    );
}

#[tokio::test]
async fn a_message_that_starts_nothing_is_refused_not_lost() {
    let intake = LeadIntake::start().await;
    intake.acme().api(Method::DELETE, "/workflows/lead-intake", "").await;
    let refused = intake.visitor("Ada").await.expect(503);
    assert_eq!(refused.code(), "no-workflow");
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_refused_with_a_reason() {
    let intake = LeadIntake::start().await;
    let send = |kind: &'static str, body: &'static str| {
        intake.host.ask(intake.acme().hook("website/inquiry").header("content-type", kind).body(body))
    };
    for (kind, body) in [
        ("application/json", "{\"name\":"),
        ("application/json", "[1, 2]"),
        ("multipart/form-data; boundary=x", "no parts at all"),
        ("multipart/form-data", "no boundary"),
        ("application/x-www-form-urlencoded", "name=%zz&email=a@b.example&region=emea&message=m"),
        ("image/png", "\u{1}"),
    ] {
        let answer = send(kind, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid-input"), "{kind}: {answer:?}");
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    let missing = send("application/json", "{\"name\":\"Ada\"}").await.expect(400);
    assert!(missing.text.contains("email"), "{missing:?}");
}
