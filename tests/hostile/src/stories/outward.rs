//! Guests that ask for a little and take more: other methods, paths, ports,
//! names that look alike, redirects that lead elsewhere. What they ask for is
//! denied by name; a bystander is answered meanwhile.

use serde_json::{Value, json};
use tests_harness::{Connection, HostBuilder};
use tests_upstreams::{Credentials, Upstreams};

use crate::scene::Scene;

async fn upstreams() -> Upstreams {
    Upstreams::start(Credentials::default()).await.unwrap()
}

async fn fetch(scene: &Scene, connection: &str, wish: Value) -> Value {
    let report = scene.report(connection, wish).await;
    assert_eq!(report["outcome"]["outcome"], "answered", "a refusal is an answer, no crash: {report}");
    report["outcome"]["value"].clone()
}

async fn denied(scene: &Scene, connection: &str, wish: Value, want: &str) {
    let error = fetch(scene, connection, wish.clone()).await["error"].to_string();
    assert!(error.contains("Denied") && error.contains(want), "{wish}: {error}");
}

#[tokio::test]
async fn no_method_and_no_path_but_the_granted_ones_is_reached_by_any_spelling() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    scene.publish("fetch").await;
    let yaml = format!(
        "kind: connection\nname: narrow\npackage: probe/fetch@0.1.0\nconfig: {{ base-url: \"{lab}\" }}\n\
         grants: {{ http: [{{ origin: \"{lab}\", methods: [GET, POST], paths: [/echo] }}] }}\n"
    );
    scene.mallory().apply(&yaml).await;
    for (method, path, headers) in [
        ("DELETE", "/echo", json!({})),
        ("GET", "/count", json!({})),
        ("GET", "/echo/../count", json!({})),
        ("GET", "/echo/%2e%2e/count", json!({})),
        ("GET", "/echo/..%2fcount", json!({})),
        ("GET", "/echo/%252e%252e/count", json!({})),
        ("GET", "//echo", json!({})),
        ("GET", "/ECHO", json!({})),
        ("GET", "/echoes", json!({})),
        ("GET", "", json!({})),
        ("GET", "?/echo", json!({})),
        ("POST", "/echo", json!({ "x-http-method-override": "DELETE" })),
        ("POST", "/echo?_method=DELETE", json!({})),
        ("GET", "/echo", json!({ "x-original-url": "/count" })),
    ] {
        let wish = json!({ "method": method, "url": format!("{lab}{path}"), "headers": headers });
        denied(&scene, "narrow", wish, "(GET, POST; /echo)").await;
    }
    assert!(upstreams.lab_received().is_empty());
    let granted = json!({ "url": format!("{lab}/echo/a?b=/../count") });
    assert!(fetch(&scene, "narrow", granted).await["status"].is_u64(), "the twin goes out");
    assert_eq!(upstreams.lab_received().len(), 1);
}

#[tokio::test]
async fn other_ports_schemes_and_names_that_look_alike_are_other_origins() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab).open(upstreams.crm)).await;
    scene.publish("fetch").await;
    let connection = Connection::probe("fetch").config("base-url", "http://apple.example");
    scene.mallory().apply(&connection.grant_http(&lab).grant_http("http://apple.example").yaml()).await;
    for url in [
        format!("https://{}/count", upstreams.lab),
        format!("http://{}/leads", upstreams.crm),
        "http://apple.example:8080/".to_owned(),
        "https://apple.example/".to_owned(),
        "http://аpple.example/".to_owned(), // a Cyrillic a
        "http://apple.example.evil.example/".to_owned(),
        "http://apple-example/".to_owned(),
        "http://xapple.example/".to_owned(),
        "http://apple.examp1e/".to_owned(),
    ] {
        denied(&scene, "fetch", json!({ "url": url }), "manifest does not ask for it").await;
    }
    let error = fetch(&scene, "fetch", json!({ "url": "http://аpple.example/" })).await["error"].to_string();
    assert!(error.contains("xn--pple-43d.example"), "the refusal shows what the name is: {error}");
    // Full-width letters are the same name to every resolver, and so to the gate.
    let same =
        fetch(&scene, "fetch", json!({ "url": "http://ａｐｐｌｅ.example/" })).await["error"].to_string();
    assert!(!same.contains("manifest does not ask"), "{same}");
    assert!(upstreams.received().is_empty());
}

#[tokio::test]
async fn a_header_cannot_end_itself_or_frame_the_request() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    scene.publish("fetch").await;
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", &lab).grant_http(&lab).yaml()).await;
    for (name, value) in [
        ("x-a", "b\r\nx-evil: 1"),
        ("x-a", "b\nGET /count HTTP/1.1"),
        ("x-a\r\nx-evil", "1"),
        ("x a", "1"),
        ("transfer-encoding", "chunked"),
        ("content-length", "1000"),
        ("host", "evil.example"),
        ("connection", "x-a"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "x"),
    ] {
        let wish = json!({ "url": format!("{lab}/echo"), "headers": { name: value } });
        let error = fetch(&scene, "fetch", wish).await["error"].to_string();
        assert!(error.contains("InvalidRequest"), "{name}: {error}");
    }
    for method in ["GET / HTTP/1.1\r\nx: y", "CONNECT", "TRACE", ""] {
        let wish = json!({ "url": format!("{lab}/echo"), "method": method });
        let error = fetch(&scene, "fetch", wish).await["error"].to_string();
        assert!(error.contains("InvalidRequest"), "{method}: {error}");
    }
    assert!(upstreams.lab_received().is_empty());
}

#[tokio::test]
async fn a_redirect_that_is_followed_leads_neither_inward_nor_takes_a_credential_along() {
    let upstreams = upstreams().await;
    let (lab, crm) = (format!("http://{}", upstreams.lab), format!("http://{}", upstreams.crm));
    // The lab and the CRM are granted; the operator opened the lab alone.
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    scene.publish("fetch-signed").await;
    let mallory = scene.mallory();
    for name in ["header", "query", "password"] {
        mallory.secret(name, &format!("{name}-credential-58f1d2")).await;
    }
    let connection = Connection::probe("fetch-signed")
        .config("base-url", &lab)
        .config("other-url", &crm)
        .config("account", "robot")
        .credential("api-key", "header")
        .credential("query-key", "query")
        .credential("password", "password")
        .grant_http(&lab)
        .grant_http(&crm)
        .egress("{ redirects: 5 }");
    mallory.apply(&connection.yaml()).await;
    let to = |url: &str| json!({ "url": format!("{lab}/redirect?to={url}") });
    denied(&scene, "fetch-signed", to(&format!("{crm}/leads")), "not a public address").await;
    denied(&scene, "fetch-signed", to("http://169.254.169.254/latest"), "manifest does not ask").await;
    denied(&scene, "fetch-signed", to("file:///etc/passwd"), "redirect").await;
    assert_eq!(upstreams.crm_received().len(), 0);

    let echoed = fetch(&scene, "fetch-signed", to("/echo")).await;
    assert_eq!(echoed["status"], 200, "within its origin it is followed: {echoed}");
    assert!(!echoed.to_string().contains("credential-58f1d2"), "{echoed}");

    // The same with the CRM open: it is reached, as nobody in particular.
    let open = Scene::empty(HostBuilder::default().open(upstreams.lab).open(upstreams.crm)).await;
    open.publish("fetch-signed").await;
    for name in ["header", "query", "password"] {
        open.mallory().secret(name, &format!("{name}-credential-58f1d2")).await;
    }
    open.mallory().apply(&connection.yaml()).await;
    let anonymous = fetch(&open, "fetch-signed", to(&format!("{crm}/leads"))).await;
    assert_eq!(anonymous["status"], 401, "{anonymous}");
}

#[tokio::test]
async fn what_the_operator_closed_stays_closed_to_a_grant_and_an_opening() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    let builder = HostBuilder::default().open(upstreams.lab).close("127.0.0.0/8").close("*.evil.example");
    let scene = Scene::empty(builder).await;
    scene.publish("fetch").await;
    let connection = Connection::probe("fetch").config("base-url", &lab).grant_http(&lab);
    scene.mallory().apply(&connection.yaml()).await;
    denied(&scene, "fetch", json!({ "url": format!("{lab}/count") }), "closed").await;
    let named = Connection::new("named", "probe/fetch@0.1.0").config("base-url", "http://a.evil.example");
    scene.mallory().apply(&named.grant_http("http://a.evil.example").yaml()).await;
    denied(&scene, "named", json!({ "url": "http://a.evil.example/" }), "[egress] closed").await;
    assert!(upstreams.lab_received().is_empty());
}
