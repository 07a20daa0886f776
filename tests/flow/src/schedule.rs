//! A schedule: fires, survives the host's death, fires no instant twice, stops.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, Host, Tenant, eventually, probe};

/// What it is given, and shows.
const INPUT: &str = "the nightly order";

async fn runs(acme: &Tenant<'_>) -> Vec<Value> {
    acme.api(Method::GET, "/runs?limit=100", "").await.expect(200).json().as_array().unwrap().clone()
}

async fn more_than(acme: &Tenant<'_>, count: usize) -> Vec<Value> {
    let look = async || Some(runs(acme).await).filter(|runs| runs.len() > count);
    eventually("more runs of the schedule", look).await
}

#[tokio::test]
async fn a_schedule_starts_one_run_an_instant_also_across_a_death_until_it_is_deleted() {
    let mut host = Host::start().await;
    for name in ["echo", "workflow-log"] {
        host.publish(probe(name)).await.expect(201);
    }
    let acme = host.tenant("acme").await;
    let token = acme.token.clone();
    let yaml = format!(
        "{}---\nkind: workflow\nname: tell\npackage: probe/workflow-log@0.1.0\nroles: {{ target: echo, other: echo }}\n\
         ---\nkind: schedule\nname: every-second\ncron: '* * * * * *'\nworkflow: tell\ninput: {INPUT}\n",
        Connection::probe("echo").yaml()
    );
    acme.apply(&yaml).await;

    // It fires, and the run is one like any other.
    let first = more_than(&acme, 0).await.pop().unwrap();
    let shown = acme.ended(first["id"].as_str().unwrap()).await;
    assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    assert_eq!(shown["run"]["started-by"], json!({ "by": "schedule", "name": "every-second" }));
    assert_eq!(shown["run"]["input"]["data"], format!("\"{INPUT}\""));
    assert_eq!(shown["run"]["outcome"]["value"], format!("\"{INPUT}\""));

    // Killed right after a fire, several times: the worst moment to forget it.
    for _ in 0..2 {
        let acme = host.tenant_with("acme", &token);
        let before = runs(&acme).await.len();
        more_than(&acme, before).await;
        host.restart();
    }
    let acme = host.tenant_with("acme", &token);
    let before = runs(&acme).await.len();
    more_than(&acme, before).await;

    acme.api(Method::DELETE, "/schedules/every-second", "").await.expect(200);
    let all = runs(&acme).await;
    for run in &all {
        let shown = acme.ended(run["id"].as_str().unwrap()).await;
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    }
    // Each message says which instant it is for.
    let instants: BTreeSet<_> =
        all.iter().map(|run| run["input"]["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!(instants.len(), all.len(), "no instant fired twice: {all:?}");

    // A second schedule shows that time went on while the deleted one was silent.
    acme.apply("kind: schedule\nname: other\ncron: '* * * * * *'\nworkflow: tell\n").await;
    let of = |runs: &[Value], name: &str| runs.iter().filter(|run| run["started-by"]["name"] == name).count();
    let after = eventually("two fires of the other", async || {
        Some(runs(&acme).await).filter(|runs| of(runs, "other") >= 2)
    })
    .await;
    assert_eq!(of(&after, "every-second"), all.len(), "a deleted schedule stops");
}
