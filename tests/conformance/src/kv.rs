//! `wharf:kv`: get, set, compare-and-set, increment, delete, list-keys.

use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, Tenant, probe};

use crate::{go, set_up};

async fn granted(host: &Host) -> Tenant<'_> {
    set_up(host, &["kv"], &[Connection::probe("kv").grant_kv()]).await
}

/// An operation that the contract refuses with this case.
fn refused(case: &str) -> Value {
    json!({ "error": format!("Error::{case}") })
}

#[tokio::test]
async fn a_value_is_kept_replaced_and_deleted() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let first = go(&acme, "kv", json!([["get", "a"], ["set", "a", "one"]])).await;
    assert_eq!(first[0], Value::Null, "never set");
    // Another call, another instance: it outlives the one that set it.
    let second =
        go(&acme, "kv", json!([["get", "a"], ["set", "a", ""], ["get", "a"], ["delete", "a"]])).await;
    assert_eq!(second[0], json!(["one", first[1]]), "the version is the one that `set` gave");
    assert!(second[1].as_u64() > first[1].as_u64() && first[1].as_u64() > Some(0), "versions grow");
    assert_eq!(second[2], json!(["", second[1]]), "an empty value is a value");
    let third = go(&acme, "kv", json!([["get", "a"], ["delete", "a"]])).await;
    assert_eq!(third, json!([null, null]), "deleting what is absent is fine");
}

#[tokio::test]
async fn a_compare_and_set_changes_only_what_is_at_its_version() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let gave = go(
        &acme,
        "kv",
        json!([["compare-and-set", "a", "one", null], ["compare-and-set", "a", "two", null]]),
    )
    .await;
    assert!(gave[0].is_u64(), "it was absent: {gave}");
    assert_eq!(gave[1], Value::Null, "it is there by now");
    let stale = gave[0].as_u64().unwrap() + 1_000_000;
    let wishes = json!([
        ["compare-and-set", "a", "no", stale],
        ["compare-and-set", "a", "two", gave[0]],
        ["get", "a"]
    ]);
    let gave = go(&acme, "kv", wishes).await;
    assert_eq!(gave[0], Value::Null);
    assert_eq!(gave[2], json!(["two", gave[1]]));
}

#[tokio::test]
async fn keys_come_in_byte_order_page_by_page() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let mut names: Vec<String> = (0..130).map(|n| format!("p/{n}")).collect();
    names.push("p/ä".to_owned());
    let sets: Vec<_> = names.iter().map(|name| json!(["set", name, ""])).collect();
    go(&acme, "kv", json!(sets)).await;
    go(&acme, "kv", json!([["set", "o", ""], ["set", "q", ""]])).await;
    names.sort();

    let gave = go(
        &acme,
        "kv",
        json!([["list", "p/", null, 1_000], ["list", "p/", null, 3], ["list", "none", null, 9]]),
    )
    .await;
    assert_eq!(gave[0]["keys"], json!(names[..100]), "a page has at most 100");
    assert_eq!(gave[1]["keys"], json!(names[..3]));
    assert_eq!(gave[2], json!({ "keys": [], "next": null }));
    let rest = go(&acme, "kv", json!([["list", "p/", gave[0]["next"], 1_000]])).await;
    assert_eq!(rest[0], json!({ "keys": names[100..], "next": null }));
}

#[tokio::test]
async fn a_value_with_a_time_to_live_goes_and_others_stay() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    go(&acme, "kv", json!([["set-for", "short", "v", 1], ["set-for", "long", "v", 3_600_000]])).await;
    // Another call is at least a millisecond later; a slow clock gets a second chance.
    let mut gave = Value::Null;
    for _ in 0..100 {
        gave = go(&acme, "kv", json!([["get", "short"], ["list", "", null, 9], ["get", "long"]])).await;
        if gave[0].is_null() {
            break;
        }
    }
    assert_eq!(gave[0], Value::Null);
    assert_eq!(gave[1]["keys"], json!(["long"]), "what has expired is not listed either");
    assert_eq!(gave[2][0], "v");
    let again = go(&acme, "kv", json!([["compare-and-set", "short", "new", null], ["get", "short"]])).await;
    assert_eq!(again[1][0], "new", "what has expired is absent");
}

#[tokio::test]
async fn keys_and_values_have_their_limits() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let (longest, longer) = ("k".repeat(256), "k".repeat(257));
    let (largest, larger) = ("v".repeat(60 << 10), "v".repeat((60 << 10) + 1));
    let gave = go(
        &acme,
        "kv",
        json!([
            ["set", longest, largest],
            ["get", longest],
            ["set", longer, ""],
            ["set", "", ""],
            ["set", "a", larger],
            ["compare-and-set", "a", larger, null],
            ["get", longer],
            ["increment", longer, 1],
            ["delete", ""],
        ]),
    )
    .await;
    assert_eq!(gave[1][0].as_str().unwrap().len(), largest.len());
    for place in 2..9 {
        assert_eq!(gave[place], refused("TooLarge"), "operation {place}");
    }
}

#[tokio::test]
async fn a_connection_keeps_no_more_than_its_quota() {
    let host = HostBuilder::default().config("[kv]\nkeys = 3\nbytes = 1000").start().await;
    let acme = granted(&host).await;
    let gave = go(
        &acme,
        "kv",
        json!([
            ["set", "a", ""],
            ["increment", "b", 1],
            ["set-for", "c", "", 3_600_000],
            ["set", "d", ""],
            ["increment", "e", 1],
            ["compare-and-set", "f", "", null],
            ["set", "a", "more"],
            ["delete", "b"],
            ["set", "d", ""],
            ["set", "d", "x".repeat(2_000)],
            ["get", "d"],
        ]),
    )
    .await;
    for place in 3..6 {
        assert_eq!(gave[place], refused("OverQuota"), "operation {place}: a fourth key");
    }
    assert!(gave[6].is_u64() && gave[8].is_u64(), "a change, and a key after one was deleted: {gave}");
    assert_eq!(gave[9], refused("OverQuota"), "the bytes");
    assert_eq!(gave[10][0], "", "what was there stays");
}

#[tokio::test]
async fn what_has_expired_makes_room() {
    let host = HostBuilder::default().config("[kv]\nkeys = 1").start().await;
    let acme = granted(&host).await;
    go(&acme, "kv", json!([["set-for", "old", "", 1]])).await;
    let mut gave = Value::Null;
    for _ in 0..100 {
        gave = go(&acme, "kv", json!([["set", "new", ""]])).await;
        if gave[0].is_u64() {
            return;
        }
    }
    panic!("the expired key is still in the way: {gave}");
}

#[tokio::test]
async fn a_counter_adds_and_a_text_is_none() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let gave = go(
        &acme,
        "kv",
        json!([
            ["increment", "n", 5],
            ["increment", "n", -7],
            ["increment", "n", 0],
            ["set", "text", "not eight"],
            ["increment", "text", 1],
            ["increment", "max", i64::MAX],
            ["increment", "max", 1],
            ["increment", "max", 0],
        ]),
    )
    .await;
    let not = || refused("NotACounter");
    let want = json!([5, -2, -2, gave[3], not(), i64::MAX, not(), i64::MAX]);
    assert_eq!(gave, want, "a text is none, and neither is a sum that does not fit");
}

#[tokio::test]
async fn increments_at_the_same_time_all_count() {
    let host = Host::start().await;
    let acme = granted(&host).await;
    let calls: Vec<_> =
        (1..=16).map(|by| go(&acme, "kv", json!([["increment", "n", by], ["increment", "n", by]]))).collect();
    let mut last = 0;
    for call in futures::future::join_all(calls).await {
        last = last.max(call[0].as_i64().unwrap()).max(call[1].as_i64().unwrap());
    }
    assert_eq!(last, 2 * (1..=16).sum::<i64>(), "somebody saw the whole sum");
    assert_eq!(go(&acme, "kv", json!([["increment", "n", 0]])).await, json!([last]));
}

#[tokio::test]
async fn what_was_set_is_there_after_the_host_is_killed() {
    let mut host = Host::start().await;
    let acme = granted(&host).await;
    let set = go(&acme, "kv", json!([["set", "a", "kept"], ["increment", "n", 3]])).await;
    let token = acme.token.clone();
    host.restart();
    let acme = host.tenant_with("acme", &token);
    let got = go(&acme, "kv", json!([["get", "a"], ["increment", "n", 1]])).await;
    assert_eq!(got, json!([["kept", set[0]], 4]));
}

#[tokio::test]
async fn without_the_connections_grant_every_operation_is_denied() {
    let host = Host::start().await;
    let acme = set_up(&host, &["kv"], &[Connection::probe("kv")]).await;
    let wishes = json!([
        ["get", "a"],
        ["set", "a", "v"],
        ["set-for", "a", "v", 9],
        ["compare-and-set", "a", "v", null],
        ["increment", "a", 1],
        ["delete", "a"],
        ["list", "", null, 9],
    ]);
    for gave in go(&acme, "kv", wishes).await.as_array().unwrap() {
        assert_eq!(*gave, refused("Denied"));
    }
    acme.apply(&Connection::probe("kv").grant_kv().yaml()).await;
    assert_eq!(
        go(&acme, "kv", json!([["get", "a"]])).await,
        json!([null]),
        "denied means that nothing was done"
    );
}

#[tokio::test]
async fn a_package_that_uses_kv_and_does_not_ask_for_it_is_not_published() {
    let host = Host::start().await;
    let answer = host.publish(probe("ungranted-kv")).await.expect(422);
    assert_eq!(answer.code(), "bad-package");
    assert!(answer.text.contains("wharf:kv/store"), "{answer:?}");
}
