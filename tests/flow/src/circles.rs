//! Workflows that start each other: found when they are applied, ended when they run.

use serde_json::{Value, json};
use tests_harness::{LeadIntake, eventually};

use crate::made::{said, start};

async fn runs(intake: &LeadIntake) -> Vec<Value> {
    let listed = intake.acme().api(reqwest::Method::GET, "/runs?limit=100", "").await.expect(200).json();
    listed.as_array().unwrap().clone()
}

#[tokio::test]
async fn workflows_that_start_each_other_without_end_are_refused_by_file_line_and_way() {
    let intake = LeadIntake::start().await;
    let refused = async |yaml: &str| {
        intake.acme().try_apply(yaml).await.expect(422).json()["detail"].as_str().unwrap().to_owned()
    };
    let three = "\
kind: workflow
name: a
steps:
- map: 1
- workflow: b
---
kind: workflow
name: b
steps: [ { publish: leads, with: 1 } ]
---
kind: workflow
name: c
triggers: [ { topic: { name: leads } } ]
steps:
- parallel:
    x: [ { workflow: a, wait: false } ]
";
    let told = refused(three).await;
    for want in [
        "test.yaml line 5: workflow `a`: this starts `b`, which starts `c`, which starts `a` again, and so on without end",
        "test.yaml line 9: workflow `b`: this starts `c`, which starts `a`, which starts `b` again",
        "test.yaml line 16: workflow `c`: this starts `a`, which starts `b`, which starts `c` again",
    ] {
        assert!(told.contains(want), "{want}: {told}");
    }
    let told = refused("kind: workflow\nname: a\nsteps:\n- workflow: a\n").await;
    assert!(told.contains("test.yaml line 4: workflow `a`: this starts `a` again"), "{told}");
    // With the column, where the reader of the steps says it.
    let told = refused("kind: workflow\nname: a\nsteps:\n- map: 1\n  wiht: 2\n").await;
    assert!(told.contains("test.yaml line 5:3: workflow `a`: unknown key `wiht`"), "{told}");
}

#[tokio::test]
async fn a_chain_of_runs_that_start_runs_ends_at_its_bound_and_every_run_says_so() {
    let intake = LeadIntake::start().await;
    let two = "\
kind: workflow
name: a
steps:
- if: ${ . }
  then: [ { workflow: b, with: \"${ . }\" } ]
---
kind: workflow
name: b
steps: [ { workflow: a, with: \"${ . }\" } ]
";
    let done = intake.acme().apply(two).await.json();
    let warning = done[0]["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("test.yaml line 5: workflow `a`: this may start `b`, which starts `a`"),
        "{warning}"
    );
    let id = start(&intake, "a", json!(true)).await;
    let said = said(&intake.acme().ended(&id).await);
    assert!(
        said.contains("test.yaml:5: step `workflow`: ") && said.contains("this run is 8 runs deep"),
        "{said}"
    );
    let all = runs(&intake).await;
    assert_eq!(all.len(), 9, "{all:?}");
    assert!(all.iter().all(|run| run["status"] == "failed"), "{all:?}");
}

#[tokio::test]
async fn a_workflow_that_publishes_to_its_own_topic_is_ended_at_the_bound_too() {
    let intake = LeadIntake::start().await;
    let echo = "\
kind: workflow
name: echo
triggers: [ { topic: { name: leads, when: .n > 0 } } ]
steps:
- publish: leads
  with: ${ . }
";
    let done = intake.acme().apply(echo).await.json();
    assert!(done[0]["warnings"][0].as_str().unwrap().contains("this may start `echo` again"), "{done}");
    start(&intake, "echo", json!({ "n": 1 })).await;
    let all = eventually("the last of the chain has ended", async || {
        let all = runs(&intake).await;
        (all.len() == 9 && all.iter().all(|run| run["finished-at"].is_string())).then_some(all)
    })
    .await;
    let failed: Vec<_> = all.iter().filter(|run| run["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "only the one that may not publish: {all:?}");
    let shown = intake.acme().run(failed[0]["id"].as_str().unwrap()).await;
    assert!(said(&shown).contains("test.yaml:5: step `publish`: this run is 8 runs deep"), "{shown}");
}
