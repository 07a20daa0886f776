//! Packages with forged signatures, or none, on a host whose operator trusts one publisher.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use tests_harness::{Answer, HostBuilder, Publisher, probe};

use super::packages::patched;
use crate::scene::Scene;

/// What `minisign` writes, line by line: a comment, who and what, a comment, what of both.
const WHAT: usize = 1;
const COMMENT: usize = 2;

async fn publish(scene: &Scene, bytes: &[u8], signature: Option<&str>) -> Answer {
    let request = scene.host.request(Method::POST, "/api/v1/packages").bearer_auth(scene.host.operator());
    let request = match signature {
        Some(signature) => request.header("wharf-signature", STANDARD.encode(signature)),
        None => request,
    };
    scene.beside(scene.host.ask(request.body(bytes.to_vec()))).await
}

/// A signature with one of its lines changed.
fn with_line(signature: &str, line: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut lines: Vec<_> = signature.lines().map(str::to_owned).collect();
    lines[line] = change(&lines[line]);
    lines.join("\n")
}

/// A signature that says to be by another key, or of another form.
fn relabelled(signature: &str, at: usize, label: &[u8]) -> String {
    with_line(signature, WHAT, |line| {
        let mut bytes = STANDARD.decode(line).unwrap();
        bytes[at..at + label.len()].copy_from_slice(label);
        STANDARD.encode(bytes)
    })
}

#[tokio::test]
async fn a_package_that_no_trusted_publisher_signed_is_refused_before_anybody_looks_into_it() {
    let mut scene = Scene::empty(HostBuilder::default()).await;
    let publisher = Publisher::default();
    // What was published before, the bystander's echo, goes on.
    scene.host.configure(&format!("[packages]\ntrusted-keys = [\"{}\"]", publisher.key()));
    scene.host.restart();
    let (stranger, kv) = (Publisher::default(), std::fs::read(probe("kv")).unwrap());
    let right = publisher.signs(&kv);

    // What is no package at all is told the same: nobody has looked into it.
    for bytes in [&kv[..], b"garbage"] {
        let answer = publish(&scene, bytes, None).await.expect(403);
        assert_eq!(answer.code(), "package-not-signed");
        assert!(answer.text.contains("minisign -Sm FILE"), "{answer:?}");
    }
    let next = patched("kv", "version = \"0.1.0\"", "version = \"0.1.1\"");
    let mut flipped = kv.clone();
    flipped[kv.len() / 2] ^= 1;
    let theirs = stranger.signs(&kv);
    let forgeries: [(&str, &[u8], String, &str); 9] = [
        ("by a stranger", &kv, theirs.clone(), "does not trust"),
        (
            "by a stranger with the same key id",
            &kv,
            relabelled(&theirs, 2, publisher.key_id()),
            "not by the key",
        ),
        ("of the version before", &next, right.clone(), "not of these bytes"),
        ("of other bytes", &flipped, right.clone(), "not of these bytes"),
        (
            "with another trusted comment",
            &kv,
            with_line(&right, COMMENT, |line| format!("{line}!")),
            "trusted comment",
        ),
        ("of the legacy form", &kv, relabelled(&right, 0, b"Ed"), "legacy"),
        ("cut off", &kv, right[..right.len() / 2].to_owned(), "no signature"),
        ("garbage", &kv, "garbage".to_owned(), "no signature"),
        ("without measure", &kv, "A".repeat(5_000), "the limit is 4096"),
    ];
    for (what, bytes, signature, want) in forgeries {
        let answer = publish(&scene, bytes, Some(&signature)).await.expect(403);
        assert_eq!(answer.code(), "bad-signature", "{what}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(want), "{what}: {answer:?}");
    }
    assert_eq!(scene.host.published().await, ["probe/echo@0.1.0"], "only the bystander's");

    let answer = publish(&scene, &kv, Some(&right)).await.expect(201);
    assert_eq!(answer.json()["signed-by"], publisher.key());
    let kept = scene.host.operate(Method::GET, "/packages/probe/kv/0.1.0", "").await.expect(200).json();
    assert_eq!(kept["signed-by"], publisher.key());
    let flow = scene.host.operate(Method::GET, "/packages", "").await.expect(200).json();
    assert!(
        flow.as_array().unwrap().iter().any(|it| it["published-by"] == "host" && it["signed-by"].is_null())
    );
}
