//! Webhooks that are forged, in every scheme: none reaches a guest. The guest
//! traps, so a 502 would show that it ran.

use futures::future::join_all;
use tests_harness::{Authority, Connection, Identity};

use crate::scene::Scene;

/// How `trap` verifies, and what somebody sends who knows all but the secret.
const FORGED: &[(&str, &[(&str, &str)])] = &[
    (
        "{ standard-webhooks: { secrets: [key] } }",
        &[("webhook-id", "1"), ("webhook-timestamp", "NOW"), ("webhook-signature", "v1,AAAA v1a,AAAA")],
    ),
    ("{ github: { secrets: [key] } }", &[("x-hub-signature-256", "sha256=HEX"), ("x-github-delivery", "1")]),
    ("{ github: { secrets: [key] } }", &[("x-hub-signature", "sha1=00")]),
    ("{ stripe: { secrets: [key] } }", &[("stripe-signature", "t=NOW,v1=HEX,v0=HEX")]),
    ("{ stripe: { secrets: [key] } }", &[("stripe-signature", "t=NOW")]),
    ("{ stripe: { secrets: [key] } }", &[("stripe-signature", "t=1,t=NOW,v1=HEX")]),
    (
        "{ slack: { secrets: [key] } }",
        &[("x-slack-request-timestamp", "NOW"), ("x-slack-signature", "v0=HEX")],
    ),
    ("{ hmac: { secrets: [key], header: x-sign } }", &[("x-sign", "HEX")]),
    ("{ hmac: { secrets: [key], header: x-sign, encoding: base64 } }", &[("x-sign", "")]),
    ("{ bearer: { secrets: [key] } }", &[("authorization", "Bearer guess")]),
    ("{ bearer: { secrets: [key], header: x-gitlab-token } }", &[("authorization", "Bearer a2V5")]),
    ("{ basic: { user: crm, secrets: [key] } }", &[("authorization", "Basic Y3JtOg==")]),
    (
        "{ ip-ranges: [192.30.252.0/22] }",
        &[("x-forwarded-for", "192.30.252.1"), ("forwarded", "for=192.30.252.1")],
    ),
    ("{ all: [{ ip-ranges: [127.0.0.0/8] }, { github: { secrets: [key] } }] }", &[]),
];

/// The hash of nothing: the form is right.
const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// In the form of every scheme: Standard Webhooks takes base64.
const SECRET: &str = "bm9ib2R5LWd1ZXNzZXMtdGhpcw==";

fn now() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the host, a process of its own, compares it with its clock"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string()
}

async fn verified_by(scene: &Scene, verify: &str) {
    scene.mallory().apply(&Connection::probe("trap").verify(verify).yaml()).await;
}

#[tokio::test]
async fn a_forgery_in_any_scheme_reaches_no_guest() {
    let scene = Scene::with(&["trap"]).await;
    scene.mallory().secret("key", SECRET).await;
    scene.knock("trap", "open").await.expect(502);
    for (verify, headers) in FORGED {
        verified_by(&scene, verify).await;
        scene.knock("trap", "unsigned").await.expect(401);
        let hook = scene.mallory().hook("trap/hook").body("forged");
        let hook = headers.iter().fold(hook, |hook, (name, value)| {
            hook.header(*name, value.replace("NOW", &now()).replace("HEX", HEX))
        });
        let refused = scene.beside(scene.host.ask(hook)).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unverified"), "{verify}: {refused:?}");
    }
    // A certificate is shown to the host's own TLS, not told of in a header.
    let partner = Authority::new("Partner CA");
    verified_by(&scene, &format!("{{ mtls: {{ authorities: [{}] }} }}", partner.quoted())).await;
    let right = partner.issue(Identity::sender("crm")).certificate_pem();
    let told = format!(":{}:", right.lines().nth(1).unwrap());
    for header in ["client-cert", "x-forwarded-client-cert", "x-ssl-client-cert"] {
        let hook = scene.mallory().hook("trap/hook").header(header, &told).body("forged");
        let refused = scene.beside(scene.host.ask(hook)).await;
        assert_eq!((refused.status, refused.code().as_str()), (401, "unverified"), "{header}: {refused:?}");
    }
    assert!(!scene.host.log().contains(SECRET));
}

#[tokio::test]
async fn a_flood_of_forgeries_of_the_largest_size_fills_no_log_and_delays_nobody() {
    const FORGERIES: usize = 60;
    let scene = Scene::with(&["trap"]).await;
    scene.mallory().secret("key", SECRET).await;
    verified_by(&scene, "{ github: { secrets: [key] } }").await;
    let before = scene.host.log().len();
    let body = "x".repeat(1 << 20);
    let forgeries = (0..FORGERIES).map(|_| {
        let hook = scene.mallory().hook("trap/hook").body(body.clone());
        scene.host.ask(hook.header("x-hub-signature-256", format!("sha256={HEX}")))
    });
    let refused = scene.beside(join_all(forgeries)).await;
    assert!(refused.iter().all(|answer| answer.status == 401), "{:?}", refused.first());
    let logged = scene.host.log()[before..].matches("refused a request to a hook").count();
    assert!((1..FORGERIES).contains(&logged), "{logged} lines for {FORGERIES} forgeries");
}
