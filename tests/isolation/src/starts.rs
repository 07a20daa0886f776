//! What starts runs: webhooks, idempotency keys, schedules; and the runs themselves.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, Host, Tenant, eventually};

use crate::{Twins, run};

fn set() -> String {
    let connections = [Connection::probe("echo").yaml(), Connection::probe("emit-n").yaml()].join("---\n");
    format!(
        "{connections}---\nkind: workflow\nname: work\npackage: probe/workflow-log@0.1.0\n\
         roles: {{ target: echo, other: echo }}\ntriggers:\n  - webhook: {{ connection: emit-n }}\n"
    )
}

const PROBES: [&str; 3] = ["echo", "emit-n", "workflow-log"];

async fn listed(tenant: &Tenant<'_>) -> Vec<Value> {
    let runs = tenant.api(Method::GET, "/runs", "").await.expect(200).json();
    runs.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_webhook_starts_runs_of_its_own_tenant_only() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &PROBES, &set()).await;
    let started = host.ask(twins.one.hook("emit-n/hook").body("1")).await.expect(202).json();
    let id = started["run"].as_str().unwrap();
    assert_eq!(twins.one.ended(id).await["run"]["status"], "succeeded");
    assert_eq!((listed(&twins.one).await.len(), listed(&twins.two).await.len()), (1, 0));
    // The id is no key to it.
    for path in [format!("/runs/{id}"), format!("/runs?after={id}")] {
        let other = twins.two.api(Method::GET, &path, "").await;
        assert!(other.status == 404 || other.json() == json!([]), "{path}: {other:?}");
        assert!(!other.text.contains("of one"));
    }
}

#[tokio::test]
async fn a_trigger_on_a_connection_of_the_same_name_hears_nothing_of_anothers() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &PROBES, &set()).await;
    twins.one.api(Method::DELETE, "/workflows/work", "").await.expect(200);
    // Nobody takes it here, so it is refused; that the other tenant would take it is no reason.
    let refused = host.ask(twins.one.hook("emit-n/hook").body("1")).await.expect(503);
    assert_eq!(refused.code(), "no-workflow");
    assert_eq!(listed(&twins.two).await.len(), 0);
}

#[tokio::test]
async fn the_same_idempotency_key_of_two_tenants_is_two_keys() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &PROBES, &set()).await;
    // Another input: under one key it would be refused, or answered with the other's run.
    let one = run(&host, &twins.one, "work", Some("order-1"), "\"of one\"").await;
    let two = run(&host, &twins.two, "work", Some("order-1"), "\"of two\"").await;
    assert_ne!(one, two);
    assert_eq!(run(&host, &twins.one, "work", Some("order-1"), "\"of one\"").await, one, "its own key it is");
    assert_eq!((listed(&twins.one).await.len(), listed(&twins.two).await.len()), (1, 1));

    let knock = |tenant: &Tenant<'_>, count: &'static str| {
        tenant.hook("emit-n/hook").header("idempotency-key", "form-1").body(count)
    };
    let one = host.ask(knock(&twins.one, "1")).await.expect(202).json();
    let two = host.ask(knock(&twins.two, "2")).await.expect(202).json();
    assert_eq!((one["runs"].as_array().unwrap().len(), two["runs"].as_array().unwrap().len()), (1, 2));
}

#[tokio::test]
async fn a_schedule_fires_for_its_own_tenant_only() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &PROBES, &set()).await;
    let yaml = |paused: bool| {
        format!(
            "kind: schedule\nname: tick\ncron: '* * * * * *'\nworkflow: work\ninput: of one\npaused: {paused}\n"
        )
    };
    twins.two.apply(&yaml(true)).await;
    twins.one.apply(&yaml(false)).await;
    let fired = eventually("a fire", async || listed(&twins.one).await.pop()).await;
    assert_eq!(fired["started-by"], json!({ "by": "schedule", "name": "tick" }));
    assert_eq!(listed(&twins.two).await.len(), 0, "its schedule of the name is paused");
    // Deleting the twin of the name does not stop it.
    twins.two.api(Method::DELETE, "/schedules/tick", "").await.expect(200);
    let before = listed(&twins.one).await.len();
    eventually("another fire", async || (listed(&twins.one).await.len() > before).then_some(())).await;
}
