//! A connector that gives away everything it can read, with three credentials.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::json;
use tests_harness::{Connection, HostBuilder};
use tests_upstreams::{ACCESS_TOKEN, Credentials, REFRESH_TOKEN, Upstreams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::scene::Scene;

const HEADER: &str = "header-credential-58f1d2";
const QUERY: &str = "query-credential-7c03aa";
const PASSWORD: &str = "password-credential-e94b10";
const ACCOUNT: &str = "robot";

/// Every file below a folder in which a text stands.
fn files_with(folder: &Path, text: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, text, found);
        } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text) {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test]
async fn nothing_that_a_guest_can_read_or_say_has_a_credential_in_it_and_nor_has_the_disk() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let mut scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    let lab = format!("http://{}", upstreams.lab);
    for probe in ["dump-everything", "workflow-call"] {
        scene.publish(probe).await;
    }
    let mallory = scene.mallory();
    for (name, value) in [("header", HEADER), ("query", QUERY), ("password", PASSWORD)] {
        mallory.secret(name, value).await;
    }
    let connection = Connection::probe("dump-everything")
        .config("base-url", &lab)
        .config("account", ACCOUNT)
        .credential("api-key", "header")
        .credential("query-key", "query")
        .credential("password", "password")
        .grant_http(&lab)
        .grant_kv();
    mallory.apply(&connection.yaml()).await;
    let roles = "roles: { target: dump-everything, other: dump-everything }";
    mallory
        .apply(&format!("kind: workflow\nname: dump\npackage: probe/workflow-call@0.1.0\n{roles}\n"))
        .await;

    let mut told = Vec::new();
    let report = scene.report("dump-everything", json!("a question")).await.to_string();
    // It was sent: the lab says back what it got, and stars stand where the credentials stood.
    for echoed in ["x-api-key", "authorization", "api_key=***"] {
        assert!(report.contains(echoed), "{echoed}: {report}");
    }
    assert!(report.matches("***").count() >= 3, "{report}");
    told.push(report);
    told.push(scene.knock("dump-everything", "a visitor's body").await.expect(200).text);
    let wish = json!([{ "role": "target", "endpoint": "go", "input": "kept-in-the-clear-4d21" }]);
    let start = scene.host.request(Method::POST, "/run/mallory/dump").bearer_auth(&mallory.token);
    let answer = scene.host.ask(start.header("prefer", "respond-async").json(&wish)).await.expect(202);
    let run = mallory.ended(answer.json()["run"].as_str().unwrap()).await;
    assert_eq!(run["run"]["status"], "succeeded", "{run}");
    told.push(run.to_string());
    for path in ["/secrets", "/connections/dump-everything", "/connections", "/runs", ""] {
        told.push(mallory.api(Method::GET, path, "").await.expect(200).text);
    }
    drop(mallory);
    assert_eq!(scene.host.terminate().await, Some(0));
    told.push(scene.host.log());

    let basic = BASE64_STANDARD.encode(format!("{ACCOUNT}:{PASSWORD}"));
    for credential in [HEADER, QUERY, PASSWORD, &basic, &BASE64_STANDARD.encode(HEADER)] {
        for text in &told {
            assert!(!text.contains(credential), "{credential} is in {text}");
        }
        let mut found = Vec::new();
        files_with(scene.host.folder(), credential.as_bytes(), &mut found);
        assert!(found.is_empty(), "{credential} is in {found:?}");
    }
    // The search finds what is there: a run's input lies in the clear.
    let mut found = Vec::new();
    files_with(scene.host.folder(), b"kept-in-the-clear-4d21", &mut found);
    assert!(!found.is_empty());
}

/// An outside system that says back the credential that it got, in every
/// common encoding, a byte at a time.
async fn echoing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = vec![0; 8_192];
            let length = socket.read(&mut asked).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let got = if asked.contains(HEADER) { HEADER } else { "nothing" };
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = socket.write_all(head.as_bytes()).await;
            for byte in spellings(got).join(" ").bytes() {
                let _ = socket.write_all(&[b"1\r\n", &[byte][..], b"\r\n"].concat()).await;
            }
            let _ = socket.write_all(b"0\r\n\r\n").await;
        }
    });
    address
}

fn spellings(secret: &str) -> Vec<String> {
    let base64 = ["", "x", "xx"].map(|before| BASE64_STANDARD.encode(format!("{before}{secret}")));
    let mut all = vec![secret.to_owned(), hex::encode(secret), hex::encode_upper(secret)];
    all.push(secret.bytes().map(|byte| format!("%{byte:02x}")).collect());
    all.extend(base64);
    all
}

#[tokio::test]
async fn an_echo_that_is_encoded_and_comes_in_pieces_is_scrubbed_all_the_same() {
    let outside = echoing().await;
    let scene = Scene::empty(HostBuilder::default().open(outside)).await;
    scene.publish("fetch-signed").await;
    for (name, value) in [("header", HEADER), ("query", QUERY), ("password", PASSWORD)] {
        scene.mallory().secret(name, value).await;
    }
    let url = format!("http://{outside}");
    let connection = Connection::probe("fetch-signed")
        .config("base-url", &url)
        .config("account", ACCOUNT)
        .credential("api-key", "header")
        .credential("query-key", "query")
        .credential("password", "password")
        .grant_http(&url);
    scene.mallory().apply(&connection.yaml()).await;
    let report = scene.report("fetch-signed", json!({ "url": format!("{url}/") })).await;
    let body = report["outcome"]["value"]["body"].as_str().unwrap_or_else(|| panic!("{report}"));
    assert!(body.matches("***").count() >= spellings("").len(), "all of them were there: {body}");
    for spelling in spellings(HEADER).iter().take(5) {
        assert!(!body.to_lowercase().contains(&spelling.to_lowercase()), "{spelling} is in {body}");
    }
}

const SIGNING_KEY: &str = "signing-credential-1be5c9";
const CLIENT_SECRET: &str = "client-credential-90aa4f";

/// The same for credentials that sign a request, or get a token for it: the
/// outside system says them back plain, by header and in pieces of three bytes.
#[tokio::test]
async fn nor_has_it_a_key_that_signs_a_client_secret_or_a_token() {
    let upstreams = Upstreams::start(Credentials::default()).await.unwrap();
    let mut scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    let lab = format!("http://{}", upstreams.lab);
    scene.publish("dump-signed").await;
    scene.publish("workflow-call").await;
    let mallory = scene.mallory();
    mallory.secret("signing", SIGNING_KEY).await;
    mallory.secret("client", CLIENT_SECRET).await;
    let connection = Connection::probe("dump-signed")
        .config("base-url", &lab)
        .credential("signing-key", "signing")
        .credential("login", "client")
        .grant_http(&lab);
    mallory.apply(&connection.yaml()).await;
    let roles = "roles: { target: dump-signed, other: dump-signed }";
    mallory
        .apply(&format!("kind: workflow\nname: dump\npackage: probe/workflow-call@0.1.0\n{roles}\n"))
        .await;

    let report = scene.report("dump-signed", json!("a question")).await.to_string();
    for echoed in ["x-signature", "x-time", "Bearer ***"] {
        assert!(report.contains(echoed), "{echoed}: {report}");
    }
    let start = scene.host.request(Method::POST, "/run/mallory/dump").bearer_auth(&mallory.token);
    let wish = json!([{ "role": "target", "endpoint": "go", "input": "kept" }]);
    let answer = scene.host.ask(start.header("prefer", "respond-async").json(&wish)).await.expect(202);
    let run = mallory.ended(answer.json()["run"].as_str().unwrap()).await;
    assert_eq!(run["run"]["status"], "succeeded", "{run}");
    let mut told = vec![report, run.to_string()];
    for path in ["/secrets", "/connections/dump-signed", "/runs"] {
        told.push(mallory.api(Method::GET, path, "").await.expect(200).text);
    }
    drop(mallory);
    assert_eq!(scene.host.terminate().await, Some(0));
    told.push(scene.host.log());

    let mut credentials = vec![SIGNING_KEY.to_owned(), CLIENT_SECRET.to_owned()];
    credentials.extend([ACCESS_TOKEN, REFRESH_TOKEN].map(str::to_owned));
    credentials.push(BASE64_STANDARD.encode(format!("robot:{CLIENT_SECRET}")));
    for credential in &credentials {
        for text in &told {
            assert!(!text.contains(credential.as_str()), "{credential} is in {text}");
        }
        let mut found = Vec::new();
        files_with(scene.host.folder(), credential.as_bytes(), &mut found);
        assert!(found.is_empty(), "{credential} is in {found:?}");
    }
}
