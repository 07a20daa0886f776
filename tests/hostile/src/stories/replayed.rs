//! Webhooks that were signed by whom it should be, and come again, too late or
//! too early; and guesses that are nearly right.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use tests_harness::{Answer, Connection};

use crate::scene::Scene;

const SECRET: &str = "nobody-guesses-this";
const STRIPE: &str = "{ stripe: { secrets: [key] } }";
const GITHUB: &str = "{ github: { secrets: [key] } }";

fn hex_mac(text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

async fn verified_by(verify: &str) -> Scene {
    let scene = Scene::with(&["emit-n"]).await;
    scene.publish("workflow-random").await;
    scene.mallory().secret("key", SECRET).await;
    let workflow = "kind: workflow\nname: each\npackage: probe/workflow-random@0.1.0\n\
        roles: { target: emit-n, other: emit-n }\ntriggers: [ { webhook: { connection: emit-n } } ]\n";
    scene
        .mallory()
        .apply(&format!("{}---\n{workflow}", Connection::probe("emit-n").verify(verify).yaml()))
        .await;
    scene
}

/// A request as it was overheard: with these headers, beside the bystander.
async fn sends(scene: &Scene, headers: &[(&str, String)], body: &str) -> Answer {
    let hook = scene.mallory().hook("emit-n/hook").body(body.to_owned());
    let hook = headers.iter().fold(hook, |hook, (name, value)| hook.header(*name, value));
    scene.beside(scene.host.ask(hook)).await
}

#[tokio::test]
async fn a_webhook_that_is_replayed_starts_one_run() {
    let scene = verified_by(GITHUB).await;
    let event = [
        ("x-hub-signature-256", format!("sha256={}", hex_mac("1"))),
        ("x-github-delivery", "the-same".to_owned()),
    ];
    let first = sends(&scene, &event, "1").await.expect(202).json();
    for _ in 0..5 {
        assert_eq!(sends(&scene, &event, "1").await.expect(202).json()["runs"], first["runs"]);
    }
    assert_eq!(scene.runs().await, 1);
}

#[tokio::test]
async fn a_time_that_is_over_or_yet_to_come_is_refused_whoever_signed_it() {
    let scene = verified_by(STRIPE).await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the host, a process of its own, compares it with its clock"
    )]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut times: Vec<_> =
        [now - 3_600, now + 3_600, 0, u64::MAX, now * 1_000].map(|it| it.to_string()).into();
    times.extend([format!("-{now}"), format!("{now}.0"), format!("0{now}"), "NaN".to_owned()]);
    for time in times {
        let signature = format!("t={time},v1={}", hex_mac(&format!("{time}.1")));
        let refused = sends(&scene, &[("stripe-signature", signature)], "1").await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unverified"), "{time}: {refused:?}");
    }
    let fresh = format!("t={now},v1={}", hex_mac(&format!("{now}.1")));
    sends(&scene, &[("stripe-signature", fresh)], "1").await.expect(202);
    assert_eq!(scene.runs().await, 1);
}

#[tokio::test]
async fn a_guess_that_is_nearly_right_is_told_nothing_more_than_a_wrong_one() {
    let scene = verified_by(GITHUB).await;
    let right = hex_mac("1");
    let mut told = BTreeSet::new();
    for known in [0, 1, 16, 32, 62, 63] {
        // One digit more is wrong.
        let wrong = if right.as_bytes()[known] == b'0' { "1" } else { "0" };
        let guess = format!("sha256={}{wrong}{}", &right[..known], &right[known + 1..]);
        let refused = sends(&scene, &[("x-hub-signature-256", guess)], "1").await.expect(401);
        let mut headers = refused.headers;
        headers.remove("date");
        told.insert((format!("{headers:?}"), refused.text));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    // A token, and a signature with one too many digits, are no different.
    let longer = sends(&scene, &[("x-hub-signature-256", format!("sha256={right}0"))], "1").await.expect(401);
    assert!(told.iter().any(|(_, text)| *text == longer.text), "{longer:?}");
    assert_eq!(scene.runs().await, 0);
}
