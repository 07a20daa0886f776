//! Credentials and the sockets that they travel on.

use std::collections::BTreeSet;

use serde_json::json;
use tests_harness::{Connection, HostBuilder, Seen, Wire};

use crate::{Twins, go};

fn signed(name: &str, wire: &Wire, secret: &str) -> String {
    Connection::new(name, "probe/fetch-signed@0.1.0")
        .config("base-url", wire.url())
        .config("account", "bot")
        .credential("api-key", secret)
        .credential("query-key", secret)
        .credential("password", secret)
        .grant_http(wire.url())
        .yaml()
}

#[tokio::test]
async fn each_tenant_sends_its_own_secret_of_the_name() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let twins = Twins::set_up(&host, &["fetch-signed"], &signed("out", &wire, "key")).await;
    twins.one.secret("key", "secret-of-one").await;
    let missing = go(&twins.two, "out", json!({ "url": wire.url() })).await;
    assert!(
        missing["error"].as_str().unwrap().starts_with("Error::Denied"),
        "another's secret is no secret: {missing}"
    );
    assert_eq!(wire.seen().len(), 0);
    twins.two.secret("key", "secret-of-two").await;
    for tenant in [&twins.one, &twins.two] {
        let path = format!("{}/{}", wire.url(), tenant.name);
        assert_eq!(go(tenant, "out", json!({ "url": path })).await["status"], 200);
    }
    let [one, two] = &wire.seen()[..] else { panic!("two requests") };
    assert_eq!(one.header("x-api-key"), ["Key secret-of-one"]);
    assert_eq!(two.header("x-api-key"), ["Key secret-of-two"]);
    assert!(!format!("{one:?}").contains("of-two") && !format!("{two:?}").contains("of-one"));
}

#[tokio::test]
async fn a_secret_that_one_tenant_deletes_stays_with_the_other() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let twins = Twins::set_up(&host, &["fetch-signed"], &signed("out", &wire, "key")).await;
    twins.one.secret("key", "secret-of-one").await;
    twins.two.secret("key", "secret-of-two").await;
    let delete = async |tenant: &tests_harness::Tenant<'_>| {
        tenant.api(reqwest::Method::DELETE, "/secrets/key", "").await
    };
    delete(&twins.one).await.expect(200);
    delete(&twins.one).await.expect(404);
    assert_eq!(go(&twins.two, "out", json!({ "url": wire.url() })).await["status"], 200);
}

#[tokio::test]
async fn no_socket_carries_the_requests_of_two_connections() {
    let wire = Wire::start();
    let host = HostBuilder::default().open(wire.address()).start().await;
    let yaml = format!("{}---\n{}", signed("a", &wire, "key-a"), signed("b", &wire, "key-b"));
    let twins = Twins::set_up(&host, &["fetch-signed"], &yaml).await;
    for tenant in [&twins.one, &twins.two] {
        tenant.secret("key-a", "a-secret").await;
        tenant.secret("key-b", "b-secret").await;
    }
    // In turns, so that each finds the others' sockets idle and warm.
    let mut users = Vec::new();
    for _ in 0..3 {
        for (tenant, connection) in
            [(&twins.one, "a"), (&twins.one, "b"), (&twins.two, "a"), (&twins.two, "b")]
        {
            let user = format!("/{}/{connection}", tenant.name);
            let url = format!("{}{user}", wire.url());
            assert_eq!(go(tenant, connection, json!({ "url": url })).await["status"], 200);
            users.push(user);
        }
    }
    let seen = wire.seen();
    assert_eq!(seen.len(), users.len());
    let user = |seen: &Seen| seen.target().split('?').next().unwrap().to_owned();
    let pairs: BTreeSet<(usize, String)> = seen.iter().map(|seen| (seen.socket, user(seen))).collect();
    let sockets: BTreeSet<usize> = pairs.iter().map(|(socket, _)| *socket).collect();
    assert_eq!(sockets.len(), pairs.len(), "a socket has one user: {pairs:?}");
    assert_eq!(sockets.len(), 4, "and each user kept its socket, so there was something to share: {pairs:?}");
}
