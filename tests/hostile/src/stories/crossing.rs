//! What crosses between guest and host without measure: texts, lists, headers,
//! writes of nothing, and answers that come when nobody waits any more.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, eventually};

use crate::scene::Scene;

/// Which bound ended a call.
#[track_caller]
fn ended_by(report: &Value, bound: &str) {
    assert_eq!(report["outcome"]["outcome"], "exceeded", "{report}");
    assert_eq!(report["outcome"]["value"]["bound"], bound, "{report}");
}

#[tokio::test]
async fn texts_to_the_host_end_at_the_host_call_bytes() {
    let scene = Scene::with(&["huge-name"]).await;
    ended_by(&scene.report("huge-name", json!(null)).await, "host-call-bytes");
    assert_eq!(scene.knock("huge-name", "").await.expect(502).code(), "exceeded-host-call-bytes");
}

#[tokio::test]
async fn a_list_without_measure_starts_nothing_and_costs_its_own_call() {
    let scene = Scene::with(&["huge-list"]).await;
    scene.publish("workflow-random").await;
    let workflow = "kind: workflow\nname: started\npackage: probe/workflow-random@0.1.0\n\
        roles: { target: huge-list, other: huge-list }\ntriggers: [ { webhook: { connection: huge-list } } ]\n";
    scene.mallory().apply(workflow).await;
    let refused = scene.knock("huge-list", "").await.expect(502);
    assert!(refused.code().starts_with("exceeded-"), "{refused:?}");
    assert_eq!(scene.runs().await, 0);
}

#[tokio::test]
async fn memory_that_is_filled_by_one_instruction_is_paid_by_the_byte() {
    let scene = Scene::with(&["fill-memory"]).await;
    ended_by(&scene.report("fill-memory", json!(null)).await, "fuel");
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_not_heard() {
    let scene = Scene::with(&["late-answer", "proxy-late"]).await;
    for name in ["late-answer", "proxy-late"] {
        scene.mallory().apply(&Connection::probe(name).bound("wall-ms", 200).yaml()).await;
    }
    ended_by(&scene.report("late-answer", json!(null)).await, "wall-time");
    assert_eq!(scene.knock("late-answer", "").await.expect(502).code(), "exceeded-wall-time");
    let late = scene.beside(scene.host.ask(scene.mallory().hook("proxy-late/"))).await;
    assert_eq!((late.status, late.code().as_str()), (502, "exceeded-wall-time"), "{late:?}");
}

#[tokio::test]
async fn writes_of_nothing_without_end_end_at_a_bound_and_look_broken_off() {
    let scene = Scene::with(&["proxy-zero-writes"]).await;
    scene.mallory().apply(&Connection::probe("proxy-zero-writes").bound("wall-ms", 2_000).yaml()).await;
    let visit = async {
        let Ok(answer) = scene.mallory().hook("proxy-zero-writes/").send().await else {
            return (0, Vec::new(), false);
        };
        let status = answer.status().as_u16();
        let body = answer.bytes().await;
        (status, Vec::new(), body.is_ok())
    };
    let (status, _, whole) = scene.beside(visit).await;
    assert!(!whole, "{status}");
    eventually("the log says which bound", async || {
        scene.host.log().contains("`proxy-zero-writes` was ended: it passed its bound").then_some(())
    })
    .await;
}

#[tokio::test]
async fn heads_without_measure_are_refused_both_ways() {
    let scene = Scene::with(&["many-headers"]).await;
    // Of a guest to whoever knocks.
    scene.knock("many-headers", "10").await.expect(200);
    for count in ["2000", "40000", "100000"] {
        let refused = scene.knock("many-headers", count).await.expect(502);
        assert!(refused.headers.len() < 50 && refused.text.len() < 1_000, "{refused:?}");
    }
    // Of whoever knocks to a guest.
    for (name, count, size) in [("many", 1_000, 10), ("large", 1, 100_000)] {
        let hook = (0..count).fold(scene.mallory().hook("many-headers/hook").body("1"), |hook, n| {
            hook.header(format!("x-{n}"), "x".repeat(size))
        });
        let refused = scene.beside(scene.host.ask(hook)).await;
        assert_eq!(refused.status, 431, "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn a_trap_in_any_export_is_told_to_its_tenant_alone() {
    let scene = Scene::with(&["trap", "trap-in-check", "echo"]).await;
    scene.publish("workflow-trap").await;
    let mallory = scene.mallory();
    let checked = scene.beside(mallory.api(Method::POST, "/connections/trap-in-check/check", "")).await;
    assert!(checked.status == 502 && checked.text.contains("crashed"), "{checked:?}");
    assert_eq!(scene.report("trap", json!(1)).await["outcome"]["outcome"], "trapped");
    assert_eq!(scene.knock("trap", "x").await.expect(502).code(), "connector-failed");
    let upload = std::fs::read(tests_harness::probe("trap-in-describe")).unwrap();
    scene.beside(scene.host.operate(Method::POST, "/packages", upload)).await.expect(422);

    let roles = "roles: { target: echo, other: echo }";
    mallory
        .apply(&format!("kind: workflow\nname: falls\npackage: probe/workflow-trap@0.1.0\n{roles}\n"))
        .await;
    let run = scene.beside(scene.ended_run("falls", json!("a message"))).await;
    assert_eq!(run["run"]["status"], "failed", "{run}");
    assert!(run.to_string().contains("the workflow panics, given"), "{run}");
}
