//! `wharf:http`: one request out, through the gate, with the host's credential.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, Tenant, Wire};
use tests_upstreams::{Credentials, Upstreams};

use crate::{go, report, set_up};

async fn upstreams() -> Upstreams {
    Upstreams::start(Credentials::default()).await.unwrap()
}

/// A host on which `fetch` may reach the laboratory.
async fn host_with(lab: &Upstreams) -> Host {
    HostBuilder::default().open(lab.lab).start().await
}

async fn granted<'h>(host: &'h Host, lab: &Upstreams) -> Tenant<'h> {
    let url = format!("http://{}", lab.lab);
    set_up(host, &["fetch"], &[Connection::probe("fetch").config("base-url", &url).grant_http(&url)]).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_the_answer_comes_back_whole() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let acme = granted(&host, &lab).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let wish = json!({
            "method": method, "url": format!("http://{}/echo?a=1&a=2", lab.lab),
            "headers": { "X-Thing": "one", "accept": "text/plain" }, "body": "grüß dich",
        });
        let gave = go(&acme, "fetch", wish).await;
        assert_eq!(gave["status"], 200, "{gave}");
        let echo: Value = serde_json::from_str(gave["body"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&echo["method"], &echo["path"], &echo["query"]),
            (&json!(method), &json!("/echo"), &json!("a=1&a=2"))
        );
        assert_eq!(
            (&echo["headers"]["x-thing"], &echo["headers"]["accept"]),
            (&json!("one"), &json!("text/plain"))
        );
        assert_eq!(echo["body"], "grüß dich");
        assert!(gave["headers"].as_array().unwrap().contains(&json!(["x-echo-x-thing", "one"])), "{gave}");
    }
    let head =
        go(&acme, "fetch", json!({ "method": "HEAD", "url": format!("http://{}/echo", lab.lab) })).await;
    assert_eq!((&head["status"], &head["body"]), (&json!(200), &json!("")));
}

#[tokio::test]
async fn a_status_that_is_no_success_is_an_answer_like_any_other() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let acme = granted(&host, &lab).await;
    let gave = go(&acme, "fetch", json!({ "url": format!("http://{}/nowhere", lab.lab) })).await;
    assert_eq!(gave["status"], 404);
    assert!(gave["body"].as_str().unwrap().contains("no such thing"));
}

#[tokio::test]
async fn a_redirect_is_given_to_the_guest_and_not_followed() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let acme = granted(&host, &lab).await;
    let to = format!("http://{}/echo", lab.lab);
    let gave = go(&acme, "fetch", json!({ "url": format!("http://{}/redirect?to={to}", lab.lab) })).await;
    assert_eq!(gave["status"], 302);
    assert!(gave["headers"].as_array().unwrap().contains(&json!(["location", to])), "{gave}");
    let paths: Vec<_> = lab.lab_received().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/redirect"]);
}

#[tokio::test]
async fn no_answer_within_the_requests_time_is_a_timeout() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let acme = granted(&host, &lab).await;
    let wish = json!({ "url": format!("http://{}/slow?ms=60000", lab.lab), "timeout-ms": 50 });
    assert_eq!(go(&acme, "fetch", wish).await, json!({ "error": "Error::Timeout" }));
}

#[tokio::test]
async fn an_answer_over_the_body_bound_is_refused_and_one_at_it_is_not() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let url = format!("http://{}", lab.lab);
    let small =
        Connection::probe("fetch").config("base-url", &url).grant_http(&url).bound("body-bytes", 1_000);
    let acme = set_up(&host, &["fetch"], &[small]).await;
    let fits = go(&acme, "fetch", json!({ "url": format!("{url}/big?bytes=1000") })).await;
    assert_eq!(fits["body"].as_str().unwrap().len(), 1_000);
    for path in ["big?bytes=1001", "endless"] {
        let gave = go(&acme, "fetch", json!({ "url": format!("{url}/{path}") })).await;
        assert_eq!(gave, json!({ "error": "Error::ResponseTooLarge(1000)" }), "{path}");
    }
    let told = report(
        &acme,
        "fetch",
        json!({ "method": "POST", "url": format!("{url}/echo"), "body": "x".repeat(1_001) }),
    )
    .await;
    assert_eq!(told["outcome"]["value"]["bound"], "body-bytes", "{told}");
}

#[tokio::test]
async fn nobody_there_is_a_failed_connection() {
    // Bound and not listening: the port refuses, and nobody else can take it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    let host = HostBuilder::default().open(closed).start().await;
    let url = format!("http://{closed}");
    let acme =
        set_up(&host, &["fetch"], &[Connection::probe("fetch").config("base-url", &url).grant_http(&url)])
            .await;
    let gave = go(&acme, "fetch", json!({ "url": url })).await;
    assert!(gave["error"].as_str().unwrap().starts_with("Error::ConnectionFailed"), "{gave}");
}

#[tokio::test]
async fn a_request_that_is_none_is_told_what_is_wrong_with_it() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let acme = granted(&host, &lab).await;
    let url = format!("http://{}/echo", lab.lab);
    for (wish, want) in [
        (json!({ "url": "/echo" }), "URL"),
        (json!({ "url": "ftp://a.example/" }), "http"),
        (json!({ "url": url.replace("http://", "http://user:pw@") }), "user information"),
        (json!({ "url": url, "method": "GE T" }), "method"),
        (json!({ "url": url, "method": "CONNECT" }), "CONNECT"),
        (json!({ "url": url, "headers": { "a b": "c" } }), "header"),
        (json!({ "url": url, "headers": { "a": "b\r\nc: d" } }), "control characters"),
        (json!({ "url": url, "headers": { "transfer-encoding": "chunked" } }), "transfer-encoding"),
        (json!({ "url": url, "headers": { "host": "elsewhere.example" } }), "host"),
    ] {
        let gave = go(&acme, "fetch", wish.clone()).await;
        let error = gave["error"].as_str().unwrap_or_else(|| panic!("{wish}: {gave}"));
        assert!(error.starts_with("Error::InvalidRequest") && error.contains(want), "{wish}: {error}");
    }
    assert_eq!(lab.lab_received().len(), 0, "nothing went out");
}

#[tokio::test]
async fn without_the_connections_grant_the_request_is_denied_and_says_what_would_open_it() {
    let lab = upstreams().await;
    let host = host_with(&lab).await;
    let url = format!("http://{}", lab.lab);
    let acme = set_up(&host, &["fetch"], &[Connection::probe("fetch").config("base-url", &url)]).await;
    let gave = go(&acme, "fetch", json!({ "url": format!("{url}/echo") })).await;
    let error = gave["error"].as_str().unwrap();
    assert!(
        error.starts_with("Error::Denied") && error.contains(&url) && error.contains("connection `fetch`"),
        "{error}"
    );
    assert_eq!(lab.lab_received().len(), 0);
}

#[tokio::test]
async fn a_grant_does_not_reach_beyond_what_the_package_asks_for() {
    let lab = upstreams().await;
    let host = HostBuilder::default().open(lab.lab).open(lab.crm).start().await;
    let (asked, other) = (format!("http://{}", lab.lab), format!("http://{}", lab.crm));
    let wide = Connection::probe("fetch").config("base-url", &asked).grant_http(&asked).grant_http(&other);
    let acme = set_up(&host, &["fetch"], &[wide]).await;
    assert_eq!(go(&acme, "fetch", json!({ "url": format!("{asked}/echo") })).await["status"], 200);
    let gave = go(&acme, "fetch", json!({ "url": format!("{other}/me") })).await;
    assert!(gave["error"].as_str().unwrap().starts_with("Error::Denied"), "{gave}");
    assert_eq!(lab.crm_received().len(), 0);
}

#[tokio::test]
async fn an_address_that_the_operator_did_not_open_is_denied_whatever_is_granted() {
    let lab = upstreams().await;
    let host = Host::start().await;
    let url = format!("http://{}", lab.lab);
    let named = url.replace("127.0.0.1", "localhost");
    let granted = |name: &str, url: &str| {
        Connection::new(name, "probe/fetch@0.1.0").config("base-url", url).grant_http(url)
    };
    let acme = set_up(&host, &["fetch"], &[granted("by-address", &url), granted("by-name", &named)]).await;
    for (connection, url) in [("by-address", &url), ("by-name", &named)] {
        let gave = go(&acme, connection, json!({ "url": format!("{url}/echo") })).await;
        assert!(gave["error"].as_str().unwrap().starts_with("Error::Denied"), "{connection}: {gave}");
    }
    assert_eq!(lab.lab_received().len(), 0);
}

/// A connection with a credential of each kind to `wire`.
async fn signed<'h>(host: &'h Host, wire: &Wire, other: &Wire) -> Tenant<'h> {
    let connection = Connection::probe("fetch-signed")
        .config("base-url", wire.url())
        .config("other-url", other.url())
        .config("account", "bot")
        .credential("api-key", "header-key")
        .credential("query-key", "query-key")
        .credential("password", "password")
        .grant_http(wire.url())
        .grant_http(other.url());
    host.publish(tests_harness::probe("fetch-signed")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("header-key", "h-secret").await;
    acme.secret("query-key", "q secret&").await;
    acme.secret("password", "p:secret").await;
    acme.apply(&connection.yaml()).await;
    acme
}

#[tokio::test]
async fn each_credential_arrives_where_the_manifest_says_and_nowhere_else() {
    let (wire, other) = (Wire::start(), Wire::start());
    let host = HostBuilder::default().open(wire.address()).open(other.address()).start().await;
    let acme = signed(&host, &wire, &other).await;
    let gave = go(&acme, "fetch-signed", json!({ "url": format!("{}/things?a=1", wire.url()) })).await;
    assert_eq!(gave["status"], 200, "{gave}");
    let seen = &wire.seen()[0];
    assert_eq!(seen.header("x-api-key"), ["Key h-secret"]);
    assert_eq!(seen.header("authorization"), ["Basic Ym90OnA6c2VjcmV0"], "bot:p:secret");
    assert!(
        ["/things?a=1&api_key=q+secret%26", "/things?a=1&api_key=q%20secret%26"].contains(&seen.target()),
        "{seen:?}"
    );

    go(&acme, "fetch-signed", json!({ "url": other.url() })).await;
    let bare = &other.seen()[0];
    assert_eq!(
        (bare.target(), bare.header("x-api-key").len(), bare.header("authorization").len()),
        ("/", 0, 0)
    );
}

#[tokio::test]
async fn what_a_guest_sets_in_a_credentials_place_is_replaced() {
    let (wire, other) = (Wire::start(), Wire::start());
    let host = HostBuilder::default().open(wire.address()).open(other.address()).start().await;
    let acme = signed(&host, &wire, &other).await;
    let wish = json!({
        "url": format!("{}/?api_key=mine&b=2&api_key=again&api%5Fkey=disguised", wire.url()),
        "headers": { "X-API-Key": "mine", "Authorization": "Bearer mine" },
    });
    assert_eq!(go(&acme, "fetch-signed", wish).await["status"], 200);
    let seen = &wire.seen()[0];
    assert_eq!(seen.header("x-api-key"), ["Key h-secret"]);
    assert_eq!(seen.header("authorization"), ["Basic Ym90OnA6c2VjcmV0"]);
    assert!(!format!("{seen:?}").contains("mine") && !format!("{seen:?}").contains("disguised"), "{seen:?}");
    assert_eq!(seen.target().matches("key=").count(), 1, "{seen:?}");
}

#[tokio::test]
async fn a_credential_whose_secret_is_not_stored_sends_nothing() {
    let (wire, other) = (Wire::start(), Wire::start());
    let host = HostBuilder::default().open(wire.address()).open(other.address()).start().await;
    let acme = signed(&host, &wire, &other).await;
    acme.api(Method::DELETE, "/secrets/password", "").await.expect(200);
    let gave = go(&acme, "fetch-signed", json!({ "url": wire.url() })).await;
    let error = gave["error"].as_str().unwrap();
    assert!(error.starts_with("Error::Denied") && error.contains("`password`"), "{error}");
    assert_eq!(wire.seen().len(), 0);
}
