//! What is not verified, each for its reason.

use serde_json::json;

use super::*;

const KEY: [(&str, &str); 1] = [("key", "k")];

fn all() -> Vec<(Verify, Sent, Vec<&'static str>)> {
    let of = |scheme: &str| policy(json!({ scheme: { "secrets": ["key"] } }));
    let basic = policy(json!({ "basic": { "user": "crm", "secrets": ["key"] } }));
    let token = policy(json!({ "bearer": { "secrets": ["key"], "header": "x-gitlab-token" } }));
    let hmac = policy(json!({ "hmac": {
        "secrets": ["key"], "header": "x-sign", "signed": "{timestamp}.{body}",
        "timestamp": { "header": "x-time" }, "event-id": { "header": "x-id" },
    } }));
    let tag = hex_mac("k", &[NOW.to_string().as_bytes(), b".", b"body"]);
    let time = NOW.to_string();
    let signed = Sent::new(&[("x-sign", &tag), ("x-time", &time), ("x-id", "1")], "body");
    vec![
        (
            of("standard-webhooks"),
            standard(b"\x93", "1", NOW, "body"), // `k` is no base64; see `secret_of`
            vec!["webhook-id", "webhook-timestamp", "webhook-signature"],
        ),
        (of("github"), github("k", "body"), vec!["x-hub-signature-256"]),
        (of("stripe"), stripe("k", NOW, "body"), vec!["stripe-signature"]),
        (of("slack"), slack("k", NOW, "body"), vec!["x-slack-signature", "x-slack-request-timestamp"]),
        (hmac, signed, vec!["x-sign", "x-time", "x-id"]),
        (of("bearer"), Sent::new(&[("authorization", "Bearer k")], ""), vec!["authorization"]),
        (token, Sent::new(&[("x-gitlab-token", "k")], ""), vec!["x-gitlab-token"]),
        (basic, Sent::new(&[("authorization", "Basic Y3JtOms=")], ""), vec!["authorization"]),
    ]
}

/// The secret as the scheme writes it.
fn secret_of(policy: &Verify) -> [(&'static str, &'static str); 1] {
    if matches!(policy, Verify::StandardWebhooks(_)) { [("key", "kw==")] } else { KEY }
}

#[test]
fn a_header_that_is_missing_or_there_twice_is_refused_in_every_scheme() {
    for (policy, sent, headers) in all() {
        let secret = secret_of(&policy);
        sent.under(&policy, &secret, NOW).unwrap();
        for name in headers {
            let named = HeaderName::from_static(name);
            let rejected = sent.clone().without(name).under(&policy, &secret, NOW).unwrap_err();
            assert_eq!(rejected, Rejected::Missing(named.clone()), "{policy:?}");
            let rejected = sent.clone().twice(name).under(&policy, &secret, NOW).unwrap_err();
            assert_eq!(rejected, Rejected::Repeated(named), "{policy:?}");
        }
    }
}

#[test]
fn every_header_truncated_anywhere_is_refused() {
    for (policy, sent, headers) in all() {
        let secret = secret_of(&policy);
        for name in headers.into_iter().filter(|name| *name != "x-id") {
            let whole = sent.headers[name].to_str().unwrap().to_owned();
            for end in 0..whole.len() {
                let cut = sent.clone().with(name, &whole[..end]);
                cut.under(&policy, &secret, NOW)
                    .expect_err(&format!("{policy:?}: {name}: {}", &whole[..end]));
            }
            for more in ["0", "=", " ", ",", "\t"] {
                let longer = sent.clone().with(name, &format!("{whole}{more}"));
                let lists = more == " " || more == ","; // an empty item of a list is none
                let verified = longer.under(&policy, &secret, NOW).is_ok();
                assert!(!verified || lists && name == "webhook-signature", "{policy:?}: {name}: {more:?}");
            }
        }
    }
}

#[test]
fn another_secret_no_secret_and_an_unusable_secret_verify_nothing() {
    for (policy, sent, _) in all() {
        // `k` or `kw==` is this connection's; these are other tenants'.
        for other in ["", "a2s=", "other", "K"] {
            sent.under(&policy, &[("key", other)], NOW).expect_err(&format!("{policy:?}"));
        }
        let rejected = sent.under(&policy, &[("other", "k")], NOW).unwrap_err();
        assert_eq!(rejected, Rejected::NoSecret("key".parse().unwrap()));
        assert!(rejected.is_ours());
    }
    let standard_webhooks = policy(json!({ "standard-webhooks": { "secrets": ["key"] } }));
    for (secret, why) in [
        ("whsk_V0VCSE9PS0FTWU1NRVRSSUNURVNUUFJJVkFURUtFWTE=", "private key"),
        ("whpk_AAAA", "not an ed25519 key"),
        ("whsec_?", "not base64"),
        ("whsec_", "not base64"),
    ] {
        let sent = standard(b"", "1", NOW, "body");
        let rejected = sent.under(&standard_webhooks, &[("key", secret)], NOW).unwrap_err();
        assert!(rejected.is_ours() && rejected.to_string().contains(why), "{rejected}");
        assert!(secret.len() < 10 || !rejected.to_string().contains(secret), "{rejected}");
    }
}

#[test]
fn the_tolerance_holds_to_the_second_both_ways() {
    for (policy, sent, _) in all() {
        if matches!(policy, Verify::Github(_) | Verify::Bearer(_) | Verify::Basic(_)) {
            continue; // no time is signed
        }
        let secret = secret_of(&policy);
        for (now, want) in [
            (NOW - 301, Some(Rejected::Early(301))),
            (NOW - 300, None),
            (NOW + 300, None),
            (NOW + 301, Some(Rejected::Old(301))),
        ] {
            assert_eq!(sent.under(&policy, &secret, now).err(), want, "{policy:?}");
        }
    }
    let tight = policy(json!({ "stripe": { "secrets": ["key"], "tolerance-s": 1 } }));
    let sent = stripe("k", NOW, "body");
    assert!(sent.under(&tight, &KEY, NOW + 1).is_ok());
    assert_eq!(sent.under(&tight, &KEY, NOW + 2).unwrap_err(), Rejected::Old(2));
}

#[test]
fn a_time_has_one_spelling() {
    let policy = policy(json!({ "slack": { "secrets": ["key"] } }));
    for time in [
        "",
        "+1614265330",
        "01614265330",
        " 1614265330",
        "1614265330.0",
        "1e9",
        "0x6037",
        "-1",
        "99999999999999999999",
    ] {
        let signature = hex_mac("k", &[b"v0:", time.as_bytes(), b":body"]);
        let headers = [
            ("x-slack-signature", format!("v0={signature}")),
            ("x-slack-request-timestamp", time.to_owned()),
        ];
        let sent = Sent::new(&headers.each_ref().map(|(name, value)| (*name, value.as_str())), "body");
        let malformed = Rejected::Malformed(HeaderName::from_static("x-slack-request-timestamp"));
        assert_eq!(sent.under(&policy, &KEY, NOW).unwrap_err(), malformed, "{time:?}");
    }
}

#[test]
fn a_signature_in_another_encoding_is_none() {
    let policy = policy(json!({ "github": { "secrets": ["key"] } }));
    let tag = mac(b"k", &[b"body"]);
    let hex = hex::encode(&tag);
    let base64 = STANDARD.encode(&tag);
    for value in [
        hex.clone(),
        format!("sha1={hex}"),
        format!("SHA256={hex}"),
        format!("sha256= {hex}"),
        format!("sha256={}", hex.to_uppercase()),
        format!("sha256={base64}"),
        format!("sha256={hex}00"),
        "sha256=".to_owned(),
        String::new(),
    ] {
        let sent = github("k", "body").with("x-hub-signature-256", &value);
        sent.under(&policy, &KEY, NOW).expect_err(&value);
    }
}

#[test]
fn every_byte_of_a_body_counts() {
    let body = "{ \"id\": 1 }\r\n";
    for (policy, sent) in [
        (policy(json!({ "github": { "secrets": ["key"] } })), github("k", body)),
        (policy(json!({ "stripe": { "secrets": ["key"] } })), stripe("k", NOW, body)),
    ] {
        sent.under(&policy, &KEY, NOW).unwrap();
        for other in ["{ \"id\": 1 }\n", "{ \"id\": 1 }", "{\"id\":1}", "\u{feff}{ \"id\": 1 }\r\n", ""] {
            let rejected = sent.clone().saying(other).under(&policy, &KEY, NOW).unwrap_err();
            assert_eq!(rejected, Rejected::Signature, "{other:?}");
        }
    }
}

#[test]
fn more_signatures_than_a_sender_has_keys_are_not_tried() {
    let policy = policy(json!({ "standard-webhooks": { "secrets": ["key"] } }));
    let sent = standard(b"\x93", "1", NOW, "body");
    let good = sent.headers["webhook-signature"].to_str().unwrap().to_owned();
    let among = |bad: usize| {
        let list = vec!["v1,AAAA"; bad].join(" ") + " " + &good;
        sent.clone().with("webhook-signature", &list).under(&policy, &[("key", "kw==")], NOW)
    };
    assert!(among(3).is_ok());
    assert_eq!(among(4).unwrap_err(), Rejected::Signature);
}

#[test]
fn an_id_cannot_take_bytes_from_what_follows_it() {
    let policy = policy(json!({ "standard-webhooks": { "secrets": ["key"] } }));
    // Signed as id `1`, time, and a body that starts with a time of its own.
    let sent = standard(b"\x93", "1", NOW, &format!("{NOW}.body"));
    let moved = sent.with("webhook-id", &format!("1.{NOW}")).saying("body");
    let malformed = Rejected::Malformed(HeaderName::from_static("webhook-id"));
    assert_eq!(moved.under(&policy, &[("key", "kw==")], NOW).unwrap_err(), malformed);
}

#[test]
fn tokens_and_passwords_are_compared_whole() {
    let bearer = policy(json!({ "bearer": { "secrets": ["key"] } }));
    for value in ["Bearer ", "Bearer", "Bearer K", "Bearer kk", "Bearer  k", "Basic k", "k", "Token k"] {
        let sent = Sent::new(&[("authorization", value)], "");
        sent.under(&bearer, &KEY, NOW).expect_err(value);
    }
    let basic = policy(json!({ "basic": { "user": "crm", "secrets": ["key"] } }));
    for pair in ["crm:", "crm:K", ":k", "crm", "CRM:k", "crm:k:", "other:k"] {
        let sent = Sent::new(&[("authorization", &format!("Basic {}", STANDARD.encode(pair)))], "");
        assert_eq!(sent.under(&basic, &KEY, NOW).unwrap_err(), Rejected::Credential, "{pair}");
    }
}

#[test]
fn a_range_wants_an_address_that_is_in_it() {
    let policy = policy(json!({ "ip-ranges": ["192.30.252.0/22", "2606:50c0::/32"] }));
    let sent = || Sent::new(&[("x-forwarded-for", "192.30.252.1")], "");
    for inside in ["192.30.252.1", "192.30.255.255", "::ffff:192.30.252.1", "2606:50c0::7"] {
        sent().from(inside).under(&policy, &[], NOW).unwrap();
    }
    for outside in ["192.30.251.255", "127.0.0.1", "::1", "2606:50c1::7", "64:ff9b::c01e:fc01"] {
        let rejected = sent().from(outside).under(&policy, &[], NOW).unwrap_err();
        assert_eq!(rejected, Rejected::Address(outside.parse().unwrap()));
    }
    assert_eq!(sent().under(&policy, &[], NOW).unwrap_err(), Rejected::NoAddress);
}

#[test]
fn all_of_several_are_all_of_them() {
    let policy = policy(json!({ "all": [
        { "github": { "secrets": ["key"] } }, { "ip-ranges": ["192.30.252.0/22"] },
    ] }));
    let good = github("k", "body").from("192.30.252.1");
    assert!(good.under(&policy, &KEY, NOW).unwrap().event.is_some());
    let elsewhere = github("k", "body").from("203.0.113.1");
    assert!(matches!(elsewhere.under(&policy, &KEY, NOW), Err(Rejected::Address(_))));
    let forged = github("other", "body").from("192.30.252.1");
    assert_eq!(forged.under(&policy, &KEY, NOW).unwrap_err(), Rejected::Signature);
}

#[test]
fn none_takes_anything_and_knows_no_event() {
    let verified = Sent::new(&[], "anything").under(&policy(json!("none")), &[], NOW).unwrap();
    assert!(verified.event.is_none());
}

#[test]
fn what_cannot_be_done_verifies_nothing() {
    let policy = Verify::All(Vec::new());
    assert_eq!(Sent::new(&[], "").under(&policy, &[], NOW).unwrap_err(), Rejected::Policy);
}

#[test]
fn secrets_print_as_stars() {
    let secrets = Secrets::new([("key".parse().unwrap(), "hunter22".into())]);
    assert_eq!(format!("{secrets:?}"), "Secrets(***)");
}
