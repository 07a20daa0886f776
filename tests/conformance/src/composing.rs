//! `wharf:workflow`: runs and other runs, and what a run says of itself.

use serde_json::{Value, json};
use tests_harness::{Connection, Host, Tenant};

use crate::{gave, result, run, set_up, workflow};

/// A tenant with the connection `echo` and these workflows.
async fn with<'h>(host: &'h Host, probes: &[&str]) -> Tenant<'h> {
    let acme = set_up(host, &[&["echo"], probes].concat(), &[Connection::probe("echo")]).await;
    for probe in probes {
        workflow(&acme, probe, "echo", "echo").await;
    }
    acme
}

#[tokio::test]
async fn the_answers_of_several_runs_come_in_the_order_of_the_list() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-children", "workflow-call"]).await;
    let child = |n: u32| {
        json!({ "workflow": "workflow-call",
        "input": [{ "role": "target", "endpoint": "go", "input": n }] })
    };
    let wishes = json!([child(1), child(2), child(3)]);
    let answer = run(&host, &acme, "workflow-children", wishes).await.expect(200).json();
    let one = |n: u32| json!({ "ok": [{ "ok": n }] });
    assert_eq!(answer["result"], json!([one(1), one(2), one(3)]));
    let parent = answer["run"].as_str().unwrap();
    let shown = acme.run(parent).await;
    for step in shown["steps"].as_array().unwrap() {
        let child = acme.run(step["effect"]["run"].as_str().unwrap()).await;
        assert_eq!(child["run"]["started-by"], json!({ "by": "run", "name": parent }));
    }
    let none = run(&host, &acme, "workflow-children", json!([])).await.expect(200).json();
    assert_eq!(none["result"], json!([]), "an empty list is done at once");
}

#[tokio::test]
async fn a_child_that_fails_is_permanent_and_one_that_is_not_there_not_found() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-children", "workflow-fail"]).await;
    let child = |workflow: &str| json!({ "workflow": workflow, "input": 1 });
    let wishes = json!([child("workflow-fail"), child("no-such"), child("../x")]);
    let gave = result(&host, &acme, "workflow-children", wishes).await;
    let error = |place: usize| gave[place]["error"].as_str().unwrap();
    assert!(error(0).starts_with("CallError::Permanent") && error(0).contains("the probe fails"), "{gave}");
    assert!(error(1).starts_with("CallError::NotFound"), "{gave}");
    assert!(error(2).starts_with("CallError::NotFound"), "{gave}");
}

#[tokio::test]
async fn every_subscriber_of_a_topic_gets_a_run_of_its_own() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-publish", "workflow-place"]).await;
    for name in ["first", "second"] {
        acme.apply(&format!(
            "kind: workflow\nname: {name}\npackage: probe/workflow-place@0.1.0\n\
             roles: {{ target: echo, other: echo }}\ntriggers: [{{ topic: {{ name: leads }} }}]\n"
        ))
        .await;
    }
    let data = json!({ "lead": 7 });
    let answer = run(&host, &acme, "workflow-publish", json!({ "topic": "leads", "data": data }))
        .await
        .expect(200)
        .json();
    assert_eq!(answer["result"], json!({ "count": 2 }));
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    let mut workflows = Vec::new();
    for id in shown["steps"][0]["effect"]["runs"].as_array().unwrap() {
        let run = acme.ended(id.as_str().unwrap()).await["run"].clone();
        assert_eq!(run["started-by"], json!({ "by": "topic", "name": "leads" }));
        assert_eq!(run["input"]["data"], data.to_string());
        workflows.push(run["workflow"].as_str().unwrap().to_owned());
    }
    workflows.sort();
    assert_eq!(workflows, ["first", "second"]);
    let nobody = json!({ "topic": "orders", "data": 1 });
    assert_eq!(result(&host, &acme, "workflow-publish", nobody).await, json!({ "count": 0 }));
    let bad = result(&host, &acme, "workflow-publish", json!({ "topic": "no topic", "data": 1 })).await;
    assert!(bad["error"].as_str().unwrap().starts_with("CallError::InvalidInput"), "{bad}");
}

#[tokio::test]
async fn four_business_keys_are_kept_and_a_fifth_is_refused() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-keys"]).await;
    let keys = json!([
        ["customer", "4710"],
        ["order", "1"],
        ["lead", "2"],
        ["ticket", "3"],
        ["fifth", "4"],
        ["customer", "4711"],
        ["lead", "x".repeat(129)]
    ]);
    let answer = run(&host, &acme, "workflow-keys", keys).await.expect(200).json();
    let refused = |place: usize| {
        let said = answer["result"][place].as_str().unwrap();
        assert!(said.starts_with("CallError::InvalidInput"), "{said}");
    };
    for place in [0, 1, 2, 3, 5] {
        assert_eq!(answer["result"][place], "set");
    }
    refused(4);
    refused(6);
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    let want = json!({ "customer": "4711", "order": "1", "lead": "2", "ticket": "3" });
    assert_eq!(shown["run"]["keys"], want, "a name that is set again has the new value");
}

#[tokio::test]
async fn each_step_says_which_place_of_the_source_asked_for_it() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-place"]).await;
    let answer = run(&host, &acme, "workflow-place", Value::Null).await.expect(200).json();
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    let places: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|step| &step["place"]).collect();
    assert_eq!(places, ["lead.yaml:12 create", "lead.yaml:12 create", "lead.yaml:20 greet"]);
}

#[tokio::test]
async fn a_workflow_in_code_was_set_up_with_no_text() {
    let host = Host::start().await;
    let acme = with(&host, &["workflow-place"]).await;
    let answer = run(&host, &acme, "workflow-place", Value::Null).await.expect(200).json();
    assert_eq!(gave(&acme, answer["run"].as_str().unwrap()).await, json!({ "definition": "" }));
}
