//! Uploads that are no package, and packages that want what they may not.

use reqwest::Method;
use tests_harness::{Answer, HostBuilder, example, probe};

use crate::scene::Scene;

/// One byte over the largest package is refused; this is a MiB over.
const OVERSIZED: usize = 33 << 20;

async fn scene() -> Scene {
    Scene::empty(HostBuilder::default()).await
}

async fn upload(scene: &Scene, bytes: Vec<u8>) -> Answer {
    scene.beside(scene.host.operate(Method::POST, "/packages", bytes)).await
}

/// The upload is refused as a bad package, with all of these in the detail.
async fn refused(scene: &Scene, bytes: Vec<u8>, wants: &[&str]) {
    let answer = upload(scene, bytes).await.expect(422);
    assert!(matches!(answer.code().as_str(), "bad-package" | "invalid"), "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for want in wants {
        assert!(detail.contains(want), "`{want}` is not in: {detail}");
    }
}

/// A probe with one text in its manifest replaced by one as long.
pub(super) fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(probe(name)).unwrap();
    // The text may be in the component's data too, where it does not matter.
    let places: Vec<_> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "`{from}` is not in {name}");
    for place in places {
        bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// A component by hand, with a connector's manifest.
fn by_hand(body: &str) -> Vec<u8> {
    let manifest = r#"name = \"hand/made\"\nversion = \"0.1.0\"\nworld = \"connector\"\n[endpoints.go]\ndirection = \"outbound\"\n"#;
    wat::parse_str(format!("(component {body} (@custom \"wharf:manifest\" \"{manifest}\"))")).unwrap()
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_what_it_is_and_what_to_do() {
    let scene = scene().await;
    let echo = std::fs::read(probe("echo")).unwrap();
    refused(&scene, Vec::new(), &["not WebAssembly", "wharf build"]).await;
    refused(&scene, b"#!/bin/sh\necho hello\n".to_vec(), &["not WebAssembly"]).await;
    refused(&scene, wat::parse_str("(module)").unwrap(), &["core module", "wasm-component-ld"]).await;
    for part in [4, 9, 100, echo.len() / 2, echo.len() - 1] {
        refused(&scene, echo[..part].to_vec(), &["byte"]).await;
    }
    let mut spoilt = echo.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle..middle + 64].fill(0xff);
    refused(&scene, spoilt, &["not a valid component", "at byte"]).await;
    refused(&scene, wat::parse_str("(component)").unwrap(), &["no manifest", "wharf:manifest"]).await;

    assert_eq!(scene.host.published().await, ["probe/echo@0.1.0"], "only the bystander's");
}

#[tokio::test]
async fn a_package_of_33_mib_is_413_also_if_it_does_not_say_so() {
    let scene = scene().await;
    let mut oversized = std::fs::read(probe("echo")).unwrap();
    oversized.resize(OVERSIZED, 0);
    let pieces: Vec<_> =
        oversized.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let told = upload(&scene, oversized).await.expect(413);
    let untold = scene.beside(scene.host.operate(Method::POST, "/packages", chunked)).await.expect(413);
    for answer in [told, untold] {
        assert_eq!(answer.code(), "body-too-large");
        assert!(answer.text.contains("33554432"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_import_is_refused_that_no_world_offers_or_that_the_manifest_does_not_ask_for() {
    let scene = scene().await;
    let foreign = by_hand("(import \"acme:missiles/launch@1.0.0\" (instance (export \"fire\" (func))))");
    refused(&scene, foreign, &["`acme:missiles/launch@1.0.0`", "no connector may import"]).await;
    let near = by_hand("(import \"wharf:kv/stor@0.1.0\" (instance))");
    refused(&scene, near, &["`wharf:kv/stor@0.1.0`", "did you mean `wharf:kv/store@"]).await;
    let others = by_hand("(import \"wharf:workflow/calls@0.1.0\" (instance))");
    refused(&scene, others, &["`wharf:workflow/calls@0.1.0`", "only a workflow may"]).await;

    let ungranted = std::fs::read(probe("ungranted-kv")).unwrap();
    refused(&scene, ungranted, &["`wharf:kv/store@", "does not ask for it", "`kv = true` under [grants]"])
        .await;
}

#[tokio::test]
async fn a_manifest_with_an_unknown_key_names_its_line_and_the_nearest() {
    let scene = scene().await;
    let check = async |from, to, wants: &[&str]| refused(&scene, patched("kv", from, to), wants).await;
    check(
        "direction = \"outbound\"",
        "dirextion = \"outbound\"",
        &["wharf.toml line 5", "`dirextion`", "did you mean `direction`?"],
    )
    .await;
    check(
        "[grants]\nkv",
        "[grants]\nkw",
        &["wharf.toml line 9", "unknown field `kw`, expected one of `http`, `smtp`, `kv`"],
    )
    .await;
    check(
        "world = \"connector\"",
        "world = \"conector!\"",
        &["wharf.toml line 3", "`conector!`", "did you mean `connector`?"],
    )
    .await;
    check("version = \"0.1.0\"", "version = \"0.1.x\"", &["wharf.toml line 2", "0.1.x"]).await;
    check("version = \"0.1.0\"", "version = \"0.1.0 ", &["wharf.toml line 2"]).await;
    check("name = \"probe/kv\"", "name = \"PROBE/KV\"", &["wharf.toml line 1", "PROBE/KV"]).await;
}

#[tokio::test]
async fn a_package_whose_code_is_not_what_its_manifest_says_is_refused() {
    let scene = scene().await;
    let file = |name: &str| std::fs::read(probe(name)).unwrap();
    refused(&scene, by_hand(""), &["does not export `wharf:endpoints/endpoints"]).await;
    refused(&scene, file("undeclared-endpoint"), &["`secret-door`", "wharf.toml does not declare"]).await;
    refused(&scene, file("trap-in-describe"), &["`describe` did not answer", "crashed"]).await;
    let renamed = patched("echo", "[endpoints.hook]", "[endpoints.hock]");
    refused(&scene, renamed, &["`hook`", "wharf.toml does not declare"]).await;
}

#[tokio::test]
async fn a_version_keeps_its_content_and_a_tenant_publishes_nothing() {
    let scene = scene().await;
    let other = patched("not-json", "probe/not-json", "probe/not_json");
    refused(&scene, other, &["probe/not_json"]).await;
    let changed = patched("echo", "direction = \"inbound\"", "direction =\"inbound\" ");
    let answer = upload(&scene, changed).await.expect(409);
    assert_eq!(answer.code(), "version-exists");
    assert!(answer.text.contains("probe/echo@0.1.0") && answer.text.contains("immutable"), "{answer:?}");

    let bytes = std::fs::read(example("crm")).unwrap();
    let request =
        scene.host.request(Method::POST, "/api/v1/packages").bearer_auth(scene.mallory().token).body(bytes);
    scene.beside(scene.host.ask(request)).await.expect(403);
}
