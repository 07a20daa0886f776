//! Guests whose answer is none.

use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test]
async fn an_answer_that_is_not_json_is_a_bad_answer() {
    let scene = Scene::with(&["not-json"]).await;
    let report = scene.report("not-json", json!(null)).await;
    assert_eq!(report["outcome"]["outcome"], "bad-answer", "{report}");
    assert!(report["outcome"]["value"].as_str().unwrap().contains("not JSON"), "{report}");
    let plain = scene.mallory().call("not-json", "go", Value::Null).await.expect(502);
    assert_eq!(plain.code(), "bad-answer");
}

#[tokio::test]
async fn a_hook_that_answers_garbage_is_502_starts_nothing_and_the_operator_reads_why() {
    let probes = ["bad-status", "message-not-json", "too-many-messages", "emit-n"];
    let scene = Scene::with(&probes).await;
    scene.publish("workflow-random").await;
    let mut triggers = String::new();
    for connection in probes {
        triggers.push_str(&format!("  - webhook: {{ connection: {connection} }}\n"));
    }
    let workflow = format!(
        "kind: workflow\nname: started\npackage: probe/workflow-random@0.1.0\n\
         roles: {{ target: emit-n, other: emit-n }}\ntriggers:\n{triggers}"
    );
    scene.mallory().apply(&workflow).await;

    for (connection, why) in [
        ("bad-status", "status 7"),
        ("message-not-json", "not JSON"),
        ("too-many-messages", "101 messages, the limit is 100"),
    ] {
        let answer = scene.knock(connection, "").await.expect(502);
        assert_eq!(answer.code(), "connector-failed", "{connection}");
        assert!(!answer.text.contains(why), "a stranger learns nothing: {answer:?}");
        assert!(scene.host.log().contains(why), "{connection}: {}", scene.host.log());
    }
    assert_eq!(scene.runs().await, 0, "not even of the messages that were fine");

    scene.knock("emit-n", "2").await.expect(202);
    assert_eq!(scene.runs().await, 2, "the same workflow starts by good messages");
}
