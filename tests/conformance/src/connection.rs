//! `wharf:connection`: the config of the connection that a call runs for.

use serde_json::{Value, json};
use tests_harness::Host;

use crate::{go, set_up};

const PACKAGE: &str = "probe/config@0.1.0";

/// The document with `config` lines of every kind.
fn document(name: &str, more: &str) -> String {
    format!(
        "kind: connection\nname: {name}\npackage: {PACKAGE}\n\
         config:\n  plain: 'a \"text\"'\n  site: https://shop.example/a?b=c\n  count: 7.5\n  on: false\n{more}"
    )
}

#[tokio::test]
async fn a_guest_reads_its_name_and_each_field_as_text_or_json() {
    let host = Host::start().await;
    let acme = set_up(&host, &["config"], &[]).await;
    acme.apply(&document("shop", "  nickname: null-is-not-meant\n  limit: 3\n")).await;
    let gave = go(&acme, "shop", json!(["plain", "site", "count", "on", "limit", "nickname"])).await;
    assert_eq!(gave["name"], "shop");
    let fields =
        json!(["a \"text\"", "https://shop.example/a?b=c", "7.5", "false", "3", "null-is-not-meant"]);
    assert_eq!(gave["fields"], fields, "a string as it is, anything else as JSON text");
    assert_eq!(
        gave["all"],
        json!({
            "plain": "a \"text\"", "site": "https://shop.example/a?b=c", "count": 7.5, "on": false,
            "region": "emea", "limit": 3, "nickname": "null-is-not-meant",
        })
    );
}

#[tokio::test]
async fn what_is_not_set_has_its_default_or_is_absent() {
    let host = Host::start().await;
    let acme = set_up(&host, &["config"], &[]).await;
    acme.apply(&document("shop", "")).await;
    let gave = go(&acme, "shop", json!(["region", "limit", "nickname", "no-such-field", ""])).await;
    assert_eq!(gave["fields"], json!(["emea", "25", null, null, null]));
    assert_eq!(gave["all"].get("nickname"), None);
}

#[tokio::test]
async fn a_config_that_does_not_fit_the_manifest_is_refused_by_field() {
    let host = Host::start().await;
    let acme = set_up(&host, &["config"], &[]).await;
    for (config, want) in [
        ("{}", "is missing"),
        ("{ plain: 7, site: 'https://a.example', count: 1, on: true }", "`plain` must be a text"),
        ("{ plain: a, site: 'ftp://a.example', count: 1, on: true }", "`site` must be an http or https URL"),
        ("{ plain: a, site: 'https://a.example', count: '1', on: true }", "`count` must be a number"),
        ("{ plain: a, site: 'https://a.example', count: 1, on: maybe }", "`on` must be true or false"),
        ("{ plain: a, site: 'https://a.example', count: 1, on: true, regoin: x }", "did you mean `region`?"),
    ] {
        let refused = acme
            .try_apply(&format!("kind: connection\nname: shop\npackage: {PACKAGE}\nconfig: {config}\n"))
            .await;
        assert_eq!(refused.status, 422, "{config}: {refused:?}");
        assert!(refused.text.contains(want), "{config}: {refused:?}");
    }
}

#[tokio::test]
async fn two_connections_of_one_package_have_their_own_config() {
    let host = Host::start().await;
    let acme = set_up(&host, &["config"], &[]).await;
    acme.apply(&format!("{}---\n{}", document("one", "  region: apac\n"), document("two", ""))).await;
    let (one, two) = (go(&acme, "one", json!(["region"])).await, go(&acme, "two", json!(["region"])).await);
    assert_eq!((&one["name"], &one["fields"]), (&Value::from("one"), &json!(["apac"])));
    assert_eq!((&two["name"], &two["fields"]), (&Value::from("two"), &json!(["emea"])));
}
