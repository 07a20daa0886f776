//! No bit of what is signed can change.

use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;

const SEED: [u8; 32] = [7; 32];

/// Every scheme that signs: the policy, the secret, the request, and the
/// headers of which every bit counts.
fn signed(id: &str, body: &str) -> Vec<(Verify, String, Sent, Vec<&'static str>)> {
    let of = |scheme: &str| policy(json!({ scheme: { "secrets": ["key"] } }));
    let headers = vec!["webhook-id", "webhook-timestamp", "webhook-signature"];
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let signature = pair.sign(format!("{id}.{NOW}.{body}").as_bytes());
    let public = standard(b"x", id, NOW, body)
        .with("webhook-signature", &format!("v1a,{}", STANDARD.encode(signature)));
    let hmac = policy(json!({ "hmac": {
        "secrets": ["key"], "header": "x-sign", "prefix": "v1=", "encoding": "base64",
        "signed": "{id}:{timestamp}:{body}", "timestamp": { "header": "x-time" }, "event-id": { "header": "x-id" },
    } }));
    let tag = STANDARD.encode(mac(b"k", &[format!("{id}:{NOW}:{body}").as_bytes()]));
    let time = NOW.to_string();
    let own = Sent::new(&[("x-sign", &format!("v1={tag}")), ("x-time", &time), ("x-id", id)], body);
    vec![
        (of("standard-webhooks"), "kw==".into(), standard(b"\x93", id, NOW, body), headers.clone()),
        (of("standard-webhooks"), format!("whpk_{}", STANDARD.encode(pair.public_key())), public, headers),
        (of("github"), "k".into(), github("k", body), vec!["x-hub-signature-256"]),
        (of("stripe"), "k".into(), stripe("k", NOW, body), vec!["stripe-signature"]),
        (
            of("slack"),
            "k".into(),
            slack("k", NOW, body),
            vec!["x-slack-signature", "x-slack-request-timestamp"],
        ),
        (hmac, "k".into(), own, vec!["x-sign", "x-time", "x-id"]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_request_with_one_bit_changed_anywhere_is_refused(
        id in "[A-Za-z0-9_-]{1,20}",
        body in "(?s).{1,60}",
        bit in any::<prop::sample::Index>(),
    ) {
        for (policy, secret, sent, headers) in signed(&id, &body) {
            let under = |sent: &Sent| sent.under(&policy, &[("key", &secret)], NOW);
            prop_assert!(under(&sent).is_ok());
            let mut flipped = sent.clone();
            let at = bit.index(flipped.body.len() * 8);
            flipped.body[at / 8] ^= 1 << (at % 8);
            prop_assert!(under(&flipped).is_err(), "{policy:?}: bit {at} of the body");
            for name in headers {
                let mut bytes = sent.headers[name].as_bytes().to_vec();
                let at = bit.index(bytes.len() * 8);
                bytes[at / 8] ^= 1 << (at % 8);
                // What is no header value any more does not get this far.
                let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
                let mut flipped = sent.clone();
                flipped.headers.insert(name, value);
                prop_assert!(under(&flipped).is_err(), "{policy:?}: bit {at} of {name}");
            }
        }
    }

    #[test]
    fn no_headers_of_a_stranger_panic_or_verify(
        value in "(t=|v0=|v1=|v1,|v1a,|sha256=|Bearer |Basic )?[ -~]{0,80}",
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for (policy, secret, mut sent, headers) in signed("1", "x") {
            for name in headers {
                sent.headers.insert(name, value.trim().parse().unwrap());
            }
            sent.body.clone_from(&body);
            prop_assert!(sent.under(&policy, &[("key", &secret)], NOW).is_err());
        }
    }
}
