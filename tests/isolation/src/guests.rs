//! What a guest can reach: only what is of its own connection.

use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, Host, HostBuilder};

use crate::{Twins, go};

fn kv(name: &str) -> String {
    Connection::new(name, "probe/kv@0.1.0").grant_kv().yaml()
}

#[tokio::test]
async fn the_same_key_of_two_tenants_is_two_values() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["kv"], &kv("notes")).await;
    go(&twins.one, "notes", json!([["set", "k", "of one"], ["increment", "n", 5]])).await;
    let other =
        go(&twins.two, "notes", json!([["get", "k"], ["list", "", null, 9], ["increment", "n", 1]])).await;
    assert_eq!(other, json!([null, { "keys": [], "next": null }, 1]));
    go(&twins.two, "notes", json!([["set", "k", "of two"], ["delete", "n"]])).await;
    let own = go(&twins.one, "notes", json!([["get", "k"], ["increment", "n", 0]])).await;
    assert_eq!((&own[0][0], &own[1]), (&json!("of one"), &json!(5)));
}

#[tokio::test]
async fn two_connections_of_one_package_in_one_tenant_have_their_own_keys() {
    let host = Host::start().await;
    // One name is the beginning of the other: keys must not run into each other.
    let yaml = format!("{}---\n{}", kv("note"), kv("note-s"));
    let twins = Twins::set_up(&host, &["kv"], &yaml).await;
    go(&twins.one, "note", json!([["set", "-s/k", "v"], ["set", "k", "v"]])).await;
    let other = json!([["get", "k"], ["get", "/k"], ["list", "", null, 9]]);
    assert_eq!(go(&twins.one, "note-s", other).await, json!([null, null, { "keys": [], "next": null }]));
}

#[tokio::test]
async fn a_key_that_looks_like_a_path_stays_within_its_connection() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["kv"], &kv("notes")).await;
    go(&twins.two, "notes", json!([["set", "secret", "of two"]])).await;
    for key in [
        "../../two/kv/notes/secret",
        "two\u{0}kv\u{0}notes\u{0}secret",
        "/two/notes/secret",
        "\u{0}",
        "\u{ff}",
    ] {
        let gave =
            go(&twins.one, "notes", json!([["get", key], ["delete", key], ["list", key, null, 9]])).await;
        assert_eq!(gave, json!([null, null, { "keys": [], "next": null }]), "{key:?}");
    }
    assert_eq!(go(&twins.two, "notes", json!([["get", "secret"]])).await[0][0], "of two");
}

#[tokio::test]
async fn one_tenants_quota_is_not_anothers() {
    let host = HostBuilder::default().config("[kv]\nkeys = 1").start().await;
    let twins = Twins::set_up(&host, &["kv"], &kv("notes")).await;
    let full = go(&twins.one, "notes", json!([["set", "a", ""], ["set", "b", ""]])).await;
    assert_eq!(full[1], json!({ "error": "Error::OverQuota" }));
    assert!(go(&twins.two, "notes", json!([["set", "b", ""]])).await[0].is_u64());
}

#[tokio::test]
async fn the_same_connection_of_two_tenants_has_the_config_of_each() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["config"], "").await;
    for tenant in [&twins.one, &twins.two] {
        let name = &tenant.name;
        let config = format!("{{ plain: of {name}, site: 'https://{name}.example', count: 1, on: true }}");
        tenant
            .apply(&format!("kind: connection\nname: shop\npackage: probe/config@0.1.0\nconfig: {config}\n"))
            .await;
    }
    for tenant in [&twins.one, &twins.two] {
        let gave = go(tenant, "shop", json!(["plain"])).await;
        assert_eq!(gave["fields"], json!([format!("of {}", tenant.name)]));
        let other = if tenant.name == "one" { "two" } else { "one" };
        assert!(!gave.to_string().contains(other), "{gave}");
    }
}

#[tokio::test]
async fn a_grant_of_one_tenant_opens_nothing_for_another() {
    let wire = tests_harness::Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let bare = Connection::new("out", "probe/fetch@0.1.0").config("base-url", wire.url());
    let twins = Twins::set_up(
        &host,
        &["fetch", "kv"],
        &format!("{}---\n{}", bare.yaml(), Connection::probe("kv").yaml()),
    )
    .await;
    twins.one.apply(&format!("{}---\n{}", bare.grant_http(wire.url()).yaml(), kv("kv"))).await;
    let wish = json!({ "url": wire.url() });
    assert_eq!(go(&twins.one, "out", wish.clone()).await["status"], 200);
    assert!(go(&twins.two, "out", wish).await["error"].as_str().unwrap().starts_with("Error::Denied"));
    assert_eq!(go(&twins.one, "kv", json!([["get", "a"]])).await, json!([null]));
    assert_eq!(go(&twins.two, "kv", json!([["get", "a"]])).await, json!([{ "error": "Error::Denied" }]));
    assert_eq!(wire.seen().len(), 1);
}

#[tokio::test]
async fn each_tenants_lines_are_in_its_own_runs() {
    let host = Host::start().await;
    let yaml = format!(
        "{}---\nkind: workflow\nname: tell\npackage: probe/workflow-log@0.1.0\nroles: {{ target: log-lines, other: log-lines }}\n",
        Connection::probe("log-lines").yaml()
    );
    let twins = Twins::set_up(&host, &["log-lines", "workflow-log"], &yaml).await;
    let ids = tokio::join!(
        crate::run(&host, &twins.one, "tell", None, "\"of one\""),
        crate::run(&host, &twins.two, "tell", None, "\"of two\""),
    );
    for (tenant, id, other) in [(&twins.one, &ids.0, "of two"), (&twins.two, &ids.1, "of one")] {
        let shown = tenant.run(id).await.to_string();
        assert!(shown.contains(&format!("of {}", tenant.name)) && !shown.contains(other), "{shown}");
    }
}

#[tokio::test]
async fn each_tenants_panic_is_told_in_its_own_call() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["panic-words"], &Connection::probe("panic-words").yaml()).await;
    let path = "/connections/panic-words/call/go?report=true";
    let (one, two) = tokio::join!(
        twins.one.api(Method::POST, path, "\"of one\"".to_owned()),
        twins.two.api(Method::POST, path, "\"of two\"".to_owned()),
    );
    for (answer, want) in [(one, "of one"), (two, "of two")] {
        let told = answer.expect(200).json();
        let [line] = told["log"].as_array().unwrap().as_slice() else { panic!("one line: {told}") };
        assert_eq!(line["text"], want, "{told}");
    }
}
