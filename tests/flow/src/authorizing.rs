//! A connection that somebody authorizes: from the call that says so to the
//! call that goes through.

use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, HostBuilder, probe};
use tests_upstreams::{Credentials, Upstreams};

use crate::cli::User;

#[tokio::test]
async fn somebody_authorizes_a_connection_once_and_calls_go_through() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let host = HostBuilder::default().open(upstreams.lab).start().await;
    let lab = format!("http://{}", upstreams.lab);
    host.publish(probe("authorized")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("client", "client-credential-90aa4f").await;
    let connection = Connection::probe("authorized")
        .config("base-url", &lab)
        .credential("login", "client")
        .grant_http(&lab);
    acme.apply(&connection.yaml()).await;

    let refused = acme.call("authorized", "go", json!(null)).await.expect(502);
    assert_eq!(refused.code(), "upstream-unauthorized");
    assert!(refused.text.contains("wharf connection authorize authorized"), "{}", refused.text);
    let shown = acme.api(Method::GET, "/connections/authorized", "").await.expect(200).json();
    assert_eq!(shown["needs-authorization"], "nobody has authorized it yet");

    let told = User::of(&host, &acme.token).types(&["connection", "authorize", "authorized"]).await.exit(0);
    let url: reqwest::Url = told.out.lines().last().unwrap().parse().unwrap();
    assert_eq!(url.path(), "/authorize");
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let back =
        async |query: String| host.ask(host.request(Method::GET, &format!("/oauth/callback?{query}"))).await;

    for wrong in ["state=<script>alert(1)</script>&code=x", "", "code=x", "state=a&state=b"] {
        let page = back(wrong.to_owned()).await.expect(400);
        assert!(!page.text.contains("script"), "{}", page.text);
    }
    let page = back(format!("state={state}&code=a-code")).await.expect(200);
    assert!(page.text.contains("is authorized"), "{}", page.text);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && page.headers["cache-control"] == "no-store");
    back(format!("state={state}&code=a-code")).await.expect(400);
    let audit = host.operate(Method::GET, "/audit?tenant=acme", "").await.expect(200).json();
    let entry = audit.as_array().unwrap().iter().find(|entry| entry["operation"] == "complete_authorization");
    let entry = entry.unwrap_or_else(|| panic!("{audit}"));
    assert_eq!((&entry["name"], &entry["outcome"]), (&json!("authorized"), &json!("done")));
    assert_eq!((&entry["by"]["token"]["role"], &entry["from"]), (&json!("admin"), &json!("127.0.0.1")));

    let answer = acme.call("authorized", "go", json!(null)).await.expect(200);
    assert_eq!(answer.json(), 200);
    let shown = acme.api(Method::GET, "/connections/authorized", "").await.expect(200).json();
    assert!(shown.get("needs-authorization").is_none(), "{shown}");
}
