//! Workflows that start themselves, and clocks that start them without pause.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::eventually;

use crate::scene::Scene;

async fn runs(scene: &Scene) -> Vec<Value> {
    let listed = scene.mallory().api(Method::GET, "/runs?limit=100", "").await.expect(200).json();
    listed.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_workflow_that_starts_itself_ends_at_its_depth() {
    let scene = Scene::with(&["echo"]).await;
    scene.publish("workflow-publish").await;
    // In code, where nobody can see it coming.
    let workflow = "kind: workflow\nname: again\npackage: probe/workflow-publish@0.1.0\n\
        roles: { target: echo, other: echo }\ntriggers: [ { topic: { name: again } } ]\n";
    scene.mallory().apply(workflow).await;
    let mut wish = json!({ "topic": "again", "data": "the last" });
    for _ in 0..12 {
        wish = json!({ "topic": "again", "data": wish });
    }
    let all = scene.beside(async {
        scene.ended_run("again", wish).await;
        eventually("the last of the chain has ended", async || {
            let all = runs(&scene).await;
            (all.len() >= 9 && all.iter().all(|run| run["finished-at"].is_string())).then_some(all)
        })
        .await
    });
    assert_eq!(all.await.len(), 9, "one was started by hand, and eight runs deep is the bound");
}

#[tokio::test]
async fn a_flood_of_schedules_starts_a_run_an_instant_each_and_stops_at_the_quota() {
    /// Schedules, each for every second.
    const SCHEDULES: usize = 30;
    const QUOTA: usize = 45;
    let scene = Scene::with(&["echo"]).await;
    scene.publish("workflow-random").await;
    let spec = json!({ "name": "mallory", "quotas": { "runs-per-day": QUOTA } }).to_string();
    scene.host.operate(Method::PUT, "/tenants/mallory", spec).await.expect(200);
    let mut flood = "kind: workflow\nname: tick\npackage: probe/workflow-random@0.1.0\n\
        roles: { target: echo, other: echo }\n"
        .to_owned();
    for number in 0..SCHEDULES {
        flood.push_str(&format!(
            "---\nkind: schedule\nname: s{number}\ncron: '* * * * * *'\nworkflow: tick\n"
        ));
    }
    for (what, cron) in [("more often than a second", "* * * * * * *"), ("no time at all", "*/0 * * * * *")] {
        let yaml = format!("kind: schedule\nname: odd\ncron: '{cron}'\nworkflow: tick\n");
        let refused = scene.mallory().try_apply(&yaml).await;
        assert_eq!(refused.status, 422, "{what}: {refused:?}");
    }
    scene.mallory().apply(&flood).await;
    scene
        .beside(eventually("the quota is used up", async || {
            (runs(&scene).await.len() >= QUOTA).then_some(())
        }))
        .await;
    // Whoever is over it gets no run of the instants that come now.
    scene.beside(async { tokio::time::sleep(std::time::Duration::from_secs(2)).await }).await;
    assert_eq!(runs(&scene).await.len(), QUOTA);
}

#[tokio::test]
async fn data_that_violate_the_schema_are_refused_at_the_border() {
    let scene = Scene::with(&["desk-form", "desk-crm"]).await;
    let workflow = "kind: workflow\nname: keep\ntriggers: [ { webhook: { connection: desk-form, message: lead } } ]\n\
        steps: [ { call: desk-crm.create-lead, with: \"${ . }\" } ]\n";
    scene.mallory().apply(workflow).await;
    let wrong = r#"{"who":7,"mail":["no address"],"desk":null,"asks":{}}"#;
    let refused = scene.knock("desk-form", wrong).await.expect(502);
    assert_eq!(refused.code(), "connector-failed");
    assert_eq!(scene.runs().await, 0, "what the form gave is no lead");
    let wrong = json!({ "name": 7, "extra": "x".repeat(500_000) }).to_string();
    let call = scene.mallory().api(Method::POST, "/connections/desk-crm/call/create-lead", wrong).await;
    assert!(
        call.status == 422 && call.text.contains("`/email` must be there"),
        "{} {:.300}",
        call.status,
        call.text
    );
    assert!(call.text.len() < 20_000, "it is not told at length: {}", call.text.len());
    let right = r#"{"who":"Ada","mail":"ada@visitor.example","desk":"EMEA","asks":"Hello?"}"#;
    scene.knock("desk-form", right).await.expect(202);
}
