//! What a tenant hears of without asking, through a workflow of its own.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{HostBuilder, Tenant, eventually};

const WORKFLOWS: &str = "\
kind: workflow
name: work
triggers: [ { topic: { name: jobs } } ]
steps: [ { map: done } ]
---
kind: workflow
name: alarm
triggers: [ { topic: { name: wharf-notices } } ]
steps: [ { id: heard, map: \"${ . }\" } ]
answer: ${ $heard }
";

#[tokio::test]
async fn a_workflow_hears_that_a_quota_is_nearly_used_and_the_neighbours_does_not() {
    let host = HostBuilder::default().config("[quotas]\nruns-per-day = 10\n").start().await;
    let (acme, bolt) = (host.tenant("acme").await, host.tenant("bolt").await);
    for tenant in [&acme, &bolt] {
        tenant.apply(WORKFLOWS).await;
    }
    for number in 1..=8 {
        acme.api(Method::POST, "/topics/jobs", json!(number).to_string()).await.expect(202);
    }
    let alarms = async |tenant: &Tenant<'_>| {
        let runs = tenant.api(Method::GET, "/runs?workflow=alarm", "").await.expect(200).json();
        runs.as_array().unwrap().clone()
    };
    let alarm = eventually("the alarm's run", async || alarms(&acme).await.into_iter().next()).await;
    let ended = acme.ended(alarm["id"].as_str().unwrap()).await;
    let notice = json!({ "notice": "quota-near", "quota": "runs-per-day", "used": 8, "limit": 10 });
    let answer: Value = serde_json::from_str(ended["run"]["outcome"]["value"].as_str().unwrap()).unwrap();
    assert_eq!(answer, notice);
    acme.api(Method::POST, "/topics/jobs", "9").await.expect(202);
    assert_eq!(alarms(&acme).await.len(), 1, "it hears once");
    assert!(alarms(&bolt).await.is_empty());
}
