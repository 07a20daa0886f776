//! Guests that look for others' kept values, and for the end of numbers and lists.

use serde_json::{Value, json};
use tests_harness::Connection;

use crate::scene::Scene;

async fn scene() -> Scene {
    let scene = Scene::with(&["kv", "list-forever"]).await;
    for name in ["kv", "list-forever"] {
        scene.mallory().apply(&Connection::probe(name).grant_kv().yaml()).await;
    }
    scene.bystander().apply(&Connection::probe("kv").grant_kv().yaml()).await;
    let kept = json!([["set", "secret", "the bystander's"], ["increment", "n", 5]]);
    scene.bystander().call("kv", "go", kept).await.expect(200);
    scene
}

async fn did(scene: &Scene, wishes: Value) -> Vec<Value> {
    let report = scene.report("kv", wishes).await;
    report["outcome"]["value"].as_array().unwrap_or_else(|| panic!("{report}")).clone()
}

#[tokio::test]
async fn no_spelling_of_a_key_leads_to_another_tenants_value() {
    let scene = scene().await;
    let spellings = [
        "secret",
        "../bystander/kv/secret",
        "../../bystander/kv/secret",
        "/bystander/kv/secret",
        "bystander/kv/secret",
        "bystander\u{0}kv\u{0}secret",
        "\u{0}secret",
        "..%2fbystander%2fkv%2fsecret",
        "kv:bystander:kv:secret",
        "secret\u{0}",
        "\u{ffff}",
    ];
    let reads = spellings.iter().map(|key| json!(["get", key])).collect();
    assert!(did(&scene, reads).await.iter().all(Value::is_null), "nothing of another's is there");
    let writes: Value = spellings.iter().map(|key| json!(["set", key, "mallory's"])).collect();
    did(&scene, writes).await;
    let lists = spellings.iter().map(|key| json!(["list", key, null, 100]));
    let all = lists.chain([json!(["list", "", null, 4_294_967_295_u64])]).collect();
    for page in did(&scene, all).await {
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.iter().all(|key| spellings.contains(&key.as_str().unwrap())), "{page}");
    }
    let kept = scene.bystander().call("kv", "go", json!([["get", "secret"], ["list", "", null, 100]])).await;
    let kept = kept.expect(200).json();
    assert_eq!(kept[0][0], "the bystander's");
    assert_eq!(kept[1]["keys"], json!(["n", "secret"]));
}

#[tokio::test]
async fn a_counter_does_not_go_round() {
    let scene = scene().await;
    let told = did(
        &scene,
        json!([
            ["increment", "n", i64::MAX],
            ["increment", "n", 1],
            ["increment", "n", -1],
            ["increment", "m", i64::MIN],
            ["increment", "m", -1],
        ]),
    )
    .await;
    assert_eq!((&told[0], &told[2], &told[3]), (&json!(i64::MAX), &json!(i64::MAX - 1), &json!(i64::MIN)));
    for place in [1, 4] {
        assert!(told[place]["error"].as_str().unwrap().contains("NotACounter"), "{told:?}");
    }
}

#[tokio::test]
async fn a_list_without_end_ends_at_a_bound() {
    let scene = scene().await;
    let report = scene.report("list-forever", json!(null)).await;
    assert_eq!(report["outcome"]["value"]["bound"], "fuel", "{report}");
    // Each costs what finding a page takes the host, not the thousand units of the guest's own code.
    let calls = report["usage"]["host-calls"].as_u64().unwrap();
    assert!((100..10_000).contains(&calls), "{report}");
}
