//! Two secrets at once, while sender and host change from one to the other.

use serde_json::json;

use super::*;

#[test]
fn the_old_and_the_new_secret_both_hold_while_both_are_named() {
    let both = policy(json!({ "github": { "secrets": ["old", "new"] } }));
    let set = [("old", "o"), ("new", "n")];
    for secret in ["o", "n"] {
        github(secret, "body").under(&both, &set, NOW).unwrap();
    }
    assert_eq!(github("x", "body").under(&both, &set, NOW).unwrap_err(), Rejected::Signature);
    let after = policy(json!({ "github": { "secrets": ["new"] } }));
    assert_eq!(github("o", "body").under(&after, &set, NOW).unwrap_err(), Rejected::Signature);
}

#[test]
fn a_secret_that_is_not_set_yet_or_unusable_does_not_hinder_the_other() {
    let both = policy(json!({ "standard-webhooks": { "secrets": ["old", "new"] } }));
    let sent = standard(b"\x93", "1", NOW, "body");
    sent.under(&both, &[("old", "kw==")], NOW).unwrap();
    sent.under(&both, &[("old", "?"), ("new", "kw==")], NOW).unwrap();
    let none = sent.under(&both, &[("old", "?")], NOW).unwrap_err();
    assert!(matches!(none, Rejected::BadSecret(..)), "{none}");
}

#[test]
fn a_sender_that_signs_with_both_is_verified_by_either() {
    let policy = policy(json!({ "stripe": { "secrets": ["key"] } }));
    let signature = |secret| hex_mac(secret, &[format!("{NOW}.body").as_bytes()]);
    let header = format!("t={NOW},v1={},v1={},v0={}", signature("o"), signature("n"), signature("x"));
    let sent = Sent::new(&[("stripe-signature", &header)], "body");
    for secret in ["o", "n"] {
        sent.under(&policy, &[("key", secret)], NOW).unwrap();
    }
    assert_eq!(sent.under(&policy, &[("key", "x")], NOW).unwrap_err(), Rejected::Signature);
}
