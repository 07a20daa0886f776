//! Steps that reach beyond their own run: other workflows, topics, whoever
//! waits for an answer, and what undoes a run that is cancelled.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{LeadIntake, eventually};

use crate::made::{made, run, said, start};

/// What a run that succeeded answered.
fn answer(shown: &Value) -> Value {
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    serde_json::from_str(shown["run"]["outcome"]["value"].as_str().unwrap()).unwrap()
}

/// The texts that the chat got, in order.
fn posts(intake: &LeadIntake) -> Vec<String> {
    intake.upstreams.effects().posts.iter().map(|post| post["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_workflow_is_awaited_with_its_result_or_its_failure() {
    let intake = LeadIntake::start().await;
    let child = "\
kind: workflow
name: child
steps:
- if: ${ .n > 9 }
  then: [ { fail: \"${ .n } is too much\", kind: conflict } ]
answer: ${ .n * 2 }
";
    intake.acme().apply(child).await;
    let steps = "\
steps:
- id: doubled
  workflow: child
  with: { n: \"${ .n }\" }
answer: { of: \"${ .n }\", doubled: \"${ $doubled }\" }
";
    made(&intake, steps).await;
    let well = run(&intake, json!({ "n": 2 })).await;
    assert_eq!(answer(&well), json!({ "of": 2, "doubled": 4 }));
    let child = well["steps"][0]["effect"]["run"].as_str().unwrap();
    let child = intake.acme().run(child).await;
    assert_eq!(child["run"]["started-by"], json!({ "by": "run", "name": well["run"]["id"] }), "{child}");

    let ill = run(&intake, json!({ "n": 10 })).await;
    let said = said(&ill);
    for part in
        ["test.yaml:4: step `doubled`: ", "failed: conflict: test.yaml:5: step `fail`: 10 is too much"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn what_a_workflow_failed_of_can_be_caught_and_one_that_is_not_awaited_fails_alone() {
    let intake = LeadIntake::start().await;
    intake.acme().apply("kind: workflow\nname: child\nsteps: [ { fail: never } ]\n").await;
    let steps = "\
steps:
- workflow: child
  wait: false
- try:
  - workflow: child
  catch:
  - id: caught
    map: ${ $error.kind }
answer: ${ $caught }
";
    made(&intake, steps).await;
    let shown = run(&intake, json!(1)).await;
    assert_eq!(answer(&shown), "permanent");
    for step in [0, 1] {
        let child = shown["steps"][step]["effect"]["run"].as_str().unwrap();
        assert_eq!(intake.acme().ended(child).await["run"]["status"], "failed");
    }
}

#[tokio::test]
async fn a_topic_starts_each_workflow_that_subscribes_and_whose_filter_fits() {
    let intake = LeadIntake::start().await;
    let subscriber = |name: &str, when: &str| {
        format!(
            "---\nkind: workflow\nname: {name}\ntriggers:\n- topic: {{ name: leads{when} }}\nsteps:\n\
             - call: chat.post\n  with: {{ channel: sales-emea, text: \"{name} ${{ .n }}\" }}\n"
        )
    };
    let all = [("every", ""), ("large", ", when: .n > 5"), ("small", ", when: .n < 5")];
    intake.acme().apply(&all.map(|(name, when)| subscriber(name, when)).concat()).await;
    made(&intake, "steps:\n- id: told\n  publish: leads\n  with: { n: \"${ . }\" }\nanswer: ${ $told }\n")
        .await;
    let shown = run(&intake, json!(7)).await;
    assert_eq!(answer(&shown), 2, "how many heard it");
    for started in shown["steps"][0]["effect"]["runs"].as_array().unwrap() {
        let started = intake.acme().ended(started.as_str().unwrap()).await;
        assert_eq!(started["run"]["status"], "succeeded", "{started}");
    }
    let mut posts = posts(&intake);
    posts.sort();
    assert_eq!(posts, ["every 7", "large 7"]);
}

#[tokio::test]
async fn what_a_cancelled_run_did_is_undone_last_first() {
    let intake = LeadIntake::start().await;
    let steps = "\
steps:
- id: first
  call: chat.post
  with: { channel: sales-emea, text: one }
  undo:
    call: chat.post
    with: { channel: sales-emea, text: \"not one ${ $first | type }\" }
- call: chat.post
  with: { channel: sales-emea, text: two }
  undo:
    call: chat.post
    with: { channel: sales-emea, text: not two }
- wait-for: go
- call: chat.post
  with: { channel: sales-emea, text: three }
";
    made(&intake, steps).await;
    let id = start(&intake, "made", json!(1)).await;
    eventually("the run waits", async || {
        (intake.acme().run(&id).await["run"]["status"] == "waiting").then_some(())
    })
    .await;
    let why = json!({ "why": "the customer left" }).to_string();
    intake.acme().api(Method::POST, &format!("/runs/{id}/cancel"), why).await.expect(200);
    let shown = intake.acme().ended(&id).await;
    assert_eq!(shown["run"]["status"], "cancelled", "{shown}");
    assert_eq!(posts(&intake), ["one", "two", "not two", "not one object"]);
}

#[tokio::test]
async fn a_caller_gets_the_reply_while_the_run_goes_on() {
    let intake = LeadIntake::start().await;
    let steps = "\
steps:
- reply: { taken: \"${ .n }\" }
- wait-for: go
  notify:
  - call: chat.post
    with: { channel: sales-emea, text: \"${ $url }\" }
answer: done
";
    made(&intake, steps).await;
    let request = intake.host.request(Method::POST, "/run/acme/made").bearer_auth(intake.acme().token);
    let told = intake.host.ask(request.json(&json!({ "n": 5 }))).await.expect(200);
    assert_eq!(told.json()["result"], json!({ "taken": 5 }), "{told:?}");
    let id = LeadIntake::run_of(&told);
    let url = eventually("the address", async || posts(&intake).first().cloned()).await;
    let path = url.get(url.find("/events/").unwrap()..).unwrap();
    let answered = intake.host.ask(intake.host.request(Method::POST, path).json(&json!(1))).await;
    assert!((200..300).contains(&answered.status), "{answered:?}");
    assert_eq!(answer(&intake.acme().ended(&id).await), "done", "its own answer is kept beside the reply");
}
