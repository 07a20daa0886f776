//! Requests whose target or framing says two things at once: to the host, and
//! through it to an outside system.

use serde_json::{Value, json};
use tests_harness::{Connection, HostBuilder, Wire};

use crate::scene::Scene;
use crate::wire;

#[tokio::test]
async fn an_absolute_form_names_a_path_here_and_leads_nowhere_else() {
    let elsewhere = Wire::start();
    let scene = Scene::with(&["echo"]).await;
    for target in [
        format!("{}/hooks/mallory/echo/hook", elsewhere.url()),
        format!("http://u:p@{}/hooks/mallory/echo/hook", elsewhere.address()),
        "http:///hooks/mallory/echo/hook".to_owned(),
        "//evil.example/hooks/mallory/echo/hook".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/hooks/bystander/../mallory/echo/hook".to_owned(),
        "/hooks/mallory/echo/..%2f..%2f..%2f..%2fetc/passwd".to_owned(),
        "*".to_owned(),
    ] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: wharf\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        let said = scene.beside(wire::ask(scene.host.address(), &request)).await;
        let status = said.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(["200", "400", "404"].contains(&status.as_str()), "{target}: {said}");
    }
    let tunnel = "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n";
    let said = scene.beside(wire::say(scene.host.address(), tunnel.as_bytes())).await;
    assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn two_lengths_of_a_request_never_make_two_requests() {
    let scene = Scene::with(&["echo"]).await;
    let inner = "GET /healthz HTTP/1.1\r\nhost: wharf\r\n\r\n";
    for (how, framing, body) in [
        (
            "length, then chunks",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            format!("0\r\n\r\n{inner}"),
        ),
        (
            "chunks, then length",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            format!("0\r\n\r\n{inner}"),
        ),
        ("two lengths", "content-length: 0\r\ncontent-length: 40\r\n", inner.to_owned()),
        ("a list of lengths", "content-length: 0, 40\r\n", inner.to_owned()),
        ("chunks that are none", "transfer-encoding: xchunked\r\n", format!("0\r\n\r\n{inner}")),
        (
            "chunks twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            format!("0\r\n\r\n{inner}"),
        ),
        ("a space before the colon", "content-length : 0\r\n", inner.to_owned()),
        ("a folded header", "x: 1\r\n content-length: 0\r\n", inner.to_owned()),
        ("a signed length", "content-length: +0\r\n", inner.to_owned()),
    ] {
        let request = format!("POST /hooks/mallory/echo/hook HTTP/1.1\r\nhost: wharf\r\n{framing}\r\n{body}");
        let said = scene.beside(wire::say(scene.host.address(), request.as_bytes())).await;
        let answers = said.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{how}: {answers} answers: {said}");
    }
}

#[tokio::test]
async fn a_guest_of_wasi_sends_one_request_or_none() {
    let outside = Wire::start();
    let scene = Scene::empty(HostBuilder::default().open(outside.address())).await;
    scene.publish("proxy-forward").await;
    let connection = Connection::probe("proxy-forward").config("base-url", outside.url());
    scene.mallory().apply(&connection.grant_http(outside.url()).yaml()).await;
    let here = outside.address().to_string();
    let told = async |wish: Value| {
        let visit = scene.mallory().hook("proxy-forward/").header("x-wish", wish.to_string());
        scene.beside(scene.host.ask(visit)).await.expect(200).text
    };
    for (what, wish) in [
        ("an absolute path", json!({ "authority": here, "path": "http://evil.example/" })),
        ("a path without a slash", json!({ "authority": here, "path": "evil" })),
        ("another request in the path", json!({ "authority": here, "path": "/ HTTP/1.1\r\nx: y" })),
        ("another authority", json!({ "authority": "127.0.0.1:9", "path": "/" })),
        ("a user in the authority", json!({ "authority": format!("u@{here}"), "path": "/" })),
        ("a path in the authority", json!({ "authority": format!("{here}/x"), "path": "/" })),
        (
            "its own framing",
            json!({ "authority": here, "path": "/", "headers": { "transfer-encoding": "chunked" } }),
        ),
        ("another host", json!({ "authority": here, "path": "/", "headers": { "host": "evil.example" } })),
        ("a line in a header", json!({ "authority": here, "path": "/", "headers": { "x": "1\r\ny: 2" } })),
        (
            "less than it says",
            json!({ "authority": here, "path": "/", "headers": { "content-length": "9" }, "body": "x" }),
        ),
    ] {
        let told = told(wish).await;
        assert!(told.starts_with("Err("), "{what}: {told}");
        assert!(outside.seen().is_empty(), "{what}: {:?}", outside.seen());
    }
    assert_eq!(
        told(json!({ "authority": here, "path": "/x", "headers": { "content-length": "3" }, "body": "one" }))
            .await,
        "Ok(200)"
    );
    let seen = outside.seen();
    assert_eq!((seen.len(), seen[0].target(), seen[0].body.as_slice()), (1, "/x", b"one".as_slice()));

    // More than it says: by then the part that it says may have left, and nothing after it.
    let more = json!({ "authority": here, "path": "/", "headers": { "content-length": "1" }, "body": "xPOST / HTTP/1.1" });
    let told = told(more).await;
    assert!(told.starts_with("Err("), "{told}");
    let seen = outside.seen();
    assert!(seen.len() <= 2 && seen[1..].iter().all(|it| it.body == b"x"), "{seen:?}");
}
