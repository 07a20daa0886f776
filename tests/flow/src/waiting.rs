//! Runs that wait, many at once: none of them keeps another from running.

use reqwest::Method;
use serde_json::json;
use tests_harness::{HostBuilder, LeadIntake, eventually};

use crate::made::{made, run, start};

#[tokio::test]
async fn however_many_runs_wait_none_of_them_holds_a_place() {
    let two_places = HostBuilder::default().config("[runs]\nmax-in-memory = 2");
    let intake = LeadIntake::start_with(two_places).await;
    let waiters = "\
kind: workflow
name: event
steps: [ { wait-for: go } ]
answer: gone
---
kind: workflow
name: telling
steps:
- wait-for: go
  notify: [ { sleep: 1h } ]
---
kind: workflow
name: parent
steps: [ { workflow: event } ]
";
    intake.acme().apply(waiters).await;
    made(&intake, "steps: [ { id: x, map: 1 } ]\nanswer: ${ $x }\n").await;
    let mut waiting = Vec::new();
    for workflow in ["event", "telling", "parent", "event", "telling", "parent"] {
        waiting.push(start(&intake, workflow, json!(1)).await);
    }
    for id in &waiting {
        eventually("it waits in the store", async || {
            (intake.acme().run(id).await["run"]["status"] == "waiting").then_some(())
        })
        .await;
    }
    let quick = run(&intake, json!(1)).await;
    assert_eq!(quick["run"]["status"], "succeeded", "{quick}");
    let path = format!("/runs/{}/events/go", waiting[0]);
    intake.acme().api(Method::POST, &path, "1").await.expect(204);
    let woken = intake.acme().ended(&waiting[0]).await;
    assert_eq!(woken["run"]["outcome"]["value"], "\"gone\"", "{woken}");
    for id in &waiting[1..] {
        assert_eq!(intake.acme().run(id).await["run"]["status"], "waiting");
    }
}
