//! What the senders publish verifies.

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const PAYLOAD: &str = r#"{"test": 2432232314}"#;

fn published(signature: &str) -> Sent {
    let time = NOW.to_string();
    let headers = [("webhook-id", MESSAGE), ("webhook-timestamp", &time), ("webhook-signature", signature)];
    Sent::new(&headers, PAYLOAD)
}

/// `libraries/go/webhook_symmetric_test.go`.
const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const V1_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// `libraries/go/webhook_asymmetric_test.go`.
const V1A: &str =
    "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";
const V1A_SEED: &str = "VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";

fn public_key() -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&STANDARD.decode(V1A_SEED).unwrap()).unwrap();
    format!("whpk_{}", STANDARD.encode(pair.public_key()))
}

#[test]
fn standard_webhooks_by_a_shared_secret_and_by_a_public_key() {
    let policy = policy(json!({ "standard-webhooks": { "secrets": ["key"] } }));
    let bare = V1_SECRET.strip_prefix("whsec_").unwrap();
    let public = public_key();
    let mut ids = Vec::new();
    for (signature, secret) in [
        (V1.to_owned(), V1_SECRET),
        (V1.to_owned(), bare),
        (V1A.to_owned(), public.as_str()),
        (format!("{V1A} {V1}"), V1_SECRET),
        (format!("v2,AAAA v1,AAAA {V1} {V1A}"), &public),
    ] {
        let verified = published(&signature).under(&policy, &[("key", secret)], NOW).unwrap();
        ids.push(verified.event.unwrap());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "the id is the message's, however it is signed");
}

#[test]
fn the_secret_says_the_scheme_and_not_the_request() {
    let policy = policy(json!({ "standard-webhooks": { "secrets": ["key"] } }));
    let public = public_key();
    // A key that everybody may know, used as a secret by a forger.
    let key = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    let forged = standard(&key, MESSAGE, NOW, PAYLOAD);
    assert_eq!(forged.under(&policy, &[("key", &public)], NOW).unwrap_err(), Rejected::Signature);
    assert_eq!(published(V1A).under(&policy, &[("key", V1_SECRET)], NOW).unwrap_err(), Rejected::Signature);
    assert_eq!(published(V1).under(&policy, &[("key", &public)], NOW).unwrap_err(), Rejected::Signature);
}

#[test]
fn svix_is_standard_webhooks_by_its_older_names() {
    let policy = policy(json!({ "standard-webhooks": { "secrets": ["key"], "headers": "svix" } }));
    let headers = [("svix-id", MESSAGE), ("svix-timestamp", &NOW.to_string()), ("svix-signature", V1)];
    let sent = Sent::new(&headers, PAYLOAD);
    sent.under(&policy, &[("key", V1_SECRET)], NOW).unwrap();
    let other = published(V1).under(&policy, &[("key", V1_SECRET)], NOW);
    assert_eq!(other.unwrap_err(), Rejected::Missing(HeaderName::from_static("svix-id")));
}

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
#[test]
fn github() {
    let policy = policy(json!({ "github": { "secrets": ["key"] } }));
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let sent = Sent::new(&[("x-hub-signature-256", signature)], "Hello, World!");
    let secret = [("key", "It's a Secret to Everybody")];
    let of_body = sent.under(&policy, &secret, NOW).unwrap().event.unwrap();
    let delivery =
        |id| sent.clone().with("x-github-delivery", id).under(&policy, &secret, NOW).unwrap().event;
    assert_ne!(delivery("1"), Some(of_body));
    assert_eq!(delivery("1"), delivery("1"));
    assert_ne!(delivery("1"), delivery("2"));
}

/// <https://api.slack.com/authentication/verifying-requests-from-slack>.
#[test]
fn slack() {
    let policy = policy(json!({ "slack": { "secrets": ["key"] } }));
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("x-slack-request-timestamp", "1531420618"),
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ];
    let secret = [("key", "8f742231b10e8888abcd99yyyzzz85a5")];
    Sent::new(&headers, body).under(&policy, &secret, 1_531_420_618).unwrap();
}

#[test]
fn stripe_as_its_libraries_make_it() {
    let policy = policy(json!({ "stripe": { "secrets": ["key"] } }));
    let first = stripe("whsec_test", NOW, r#"{"id":"evt_1","pending_webhooks":2}"#);
    // Stripe sends an event again with a new time, a new signature and another body.
    let again = stripe("whsec_test", NOW + 9, r#"{"id":"evt_1","pending_webhooks":1}"#);
    let other = stripe("whsec_test", NOW, r#"{"id":"evt_2","pending_webhooks":2}"#);
    let event = |sent: &Sent| sent.under(&policy, &[("key", "whsec_test")], NOW).unwrap().event.unwrap();
    assert_eq!(event(&first), event(&again));
    assert_ne!(event(&first), event(&other));
}

#[test]
fn an_event_of_slack_that_is_sent_again_is_the_same_and_a_command_twice_is_not() {
    let policy = policy(json!({ "slack": { "secrets": ["key"] } }));
    let event = |time, body| {
        super::slack("k", time, body).under(&policy, &[("key", "k")], NOW).unwrap().event.unwrap()
    };
    let body = r#"{"type":"event_callback","event_id":"Ev1"}"#;
    assert_eq!(event(NOW, body), event(NOW - 60, body));
    assert_eq!(event(NOW, "command=%2Fdeploy"), event(NOW, "command=%2Fdeploy"), "a replay");
    assert_ne!(event(NOW, "command=%2Fdeploy"), event(NOW - 60, "command=%2Fdeploy"), "typed twice");
}

#[test]
fn any_other_hmac_as_it_is_described() {
    let described = |more: Value| {
        let mut spec = json!({ "secrets": ["key"], "header": "x-sign" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy(json!({ "hmac": spec }))
    };
    let key = [("key", "k")];
    // Shopify: base64 of the body's, and an id beside it.
    let tag = STANDARD.encode(mac(b"k", &[b"order"]));
    let sent = Sent::new(&[("x-sign", &tag), ("x-id", "b54557e4")], "order");
    let shopify = described(json!({ "encoding": "base64", "event-id": { "header": "x-id" } }));
    assert_eq!(sent.under(&shopify, &key, NOW).unwrap().event, Some(crate::EventId::given("b54557e4")));
    // Zendesk: the time as a date, nothing between it and the body.
    let time = at(NOW).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let tag = STANDARD.encode(mac(b"k", &[time.as_bytes(), b"{\"id\":7}"]));
    let sent = Sent::new(&[("x-sign", &tag), ("x-time", &time)], "{\"id\":7}");
    let zendesk = described(json!({
        "encoding": "base64", "signed": "{timestamp}{body}", "event-id": { "json": "id" },
        "timestamp": { "header": "x-time", "format": "rfc3339" },
    }));
    assert_eq!(sent.under(&zendesk, &key, NOW).unwrap().event, Some(crate::EventId::given("7")));
    // Milliseconds, an id that is signed, a prefix, upper case.
    let tag = hex_mac("k", &[b"7:1614265330123|body"]).to_uppercase();
    let sent =
        Sent::new(&[("x-sign", &format!("v9={tag}")), ("x-time", "1614265330123"), ("x-id", "7")], "body");
    let odd = described(json!({
        "encoding": "hex-upper", "prefix": "v9=", "signed": "{id}:{timestamp}|{body}",
        "timestamp": { "header": "x-time", "format": "unix-ms" }, "event-id": { "header": "x-id" },
    }));
    sent.under(&odd, &key, NOW).unwrap();
    let moved = sent.clone().with("x-id", "7:1");
    assert_eq!(
        moved.under(&odd, &key, NOW).unwrap_err(),
        Rejected::Malformed(HeaderName::from_static("x-id"))
    );
}

/// RFC 2202, 3 case 2, and RFC 4231, 4.3.
#[test]
fn every_hash_and_every_form_of_a_secret() {
    let text = "what do ya want for nothing?";
    for (algorithm, tag) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha384",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        for (form, secret) in [("text", "Jefe"), ("hex", "4a656665"), ("base64", "SmVmZQ==")] {
            let policy = policy(json!({ "hmac": {
                "secrets": ["key"], "secret-encoding": form, "algorithm": algorithm, "header": "x-sign",
            } }));
            let sent = Sent::new(&[("x-sign", tag)], text);
            sent.under(&policy, &[("key", secret)], NOW).unwrap();
        }
    }
}
