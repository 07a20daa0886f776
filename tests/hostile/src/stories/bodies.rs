//! Bodies that are not what they say, too long, or without an end.

use reqwest::Method;
use tests_harness::{HostBuilder, example};

use crate::scene::Scene;
use crate::wire;

/// What the host is set to take.
const LIMIT: usize = 10_000;

async fn scene() -> Scene {
    let scene = Scene::on(HostBuilder::default().config("[server]\nbody-bytes = 10_000"), &["echo"]).await;
    scene.publish("workflow-random").await;
    let workflow = "kind: workflow\nname: wf\npackage: probe/workflow-random@0.1.0\nroles: { target: echo, other: echo }\n";
    scene.mallory().apply(workflow).await;
    scene
}

#[tokio::test]
async fn a_body_that_is_not_json_where_json_is_due_is_refused_with_its_place() {
    let scene = scene().await;
    let token = scene.mallory().token;
    for body in ["{\"almost\": ", "<xml/>", "{} {}", "\u{fffd}"] {
        for path in ["/run/mallory/wf", "/api/v1/tenants/mallory/connections/echo/call/go"] {
            let request = scene.host.request(Method::POST, path).bearer_auth(&token);
            let answer = scene
                .host
                .ask(request.header("content-type", "application/json").body(body))
                .await
                .expect(400);
            assert!(
                answer.text.contains("JSON") && answer.text.contains("line 1"),
                "{path} {body}: {answer:?}"
            );
        }
    }
    let latin =
        scene.host.request(Method::POST, "/run/mallory/wf").bearer_auth(&token).body(vec![b'"', 0xe9, b'"']);
    let answer = scene.host.ask(latin).await.expect(400);
    assert!(answer.text.contains("not UTF-8"), "{answer:?}");
    assert_eq!(scene.runs().await, 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_names_the_limit_whether_it_says_its_length_or_not() {
    let scene = scene().await;
    let token = scene.mallory().token;
    for path in ["/hooks/mallory/echo/hook", "/run/mallory/wf"] {
        let request = || scene.host.request(Method::POST, path).bearer_auth(&token);
        let fits = format!("\"{}\"", "x".repeat(LIMIT - 2));
        let fitted = scene.host.ask(request().header("prefer", "wait=20").body(fits)).await;
        assert!(fitted.status < 300, "{fitted:?}");

        let told = scene.beside(scene.host.ask(request().body(vec![b'x'; LIMIT + 1]))).await.expect(413);
        let pieces = vec![vec![b'x'; LIMIT], vec![b'x']].into_iter().map(Ok::<_, std::io::Error>);
        let chunked = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let untold = scene.beside(scene.host.ask(request().body(chunked))).await.expect(413);
        for answer in [told, untold] {
            assert_eq!(answer.code(), "body-too-large", "{path}");
            assert!(answer.text.contains("10000 bytes"), "{answer:?}");
        }
    }
    let call = scene.mallory().call("echo", "go", "x".repeat(1 << 20).into()).await.expect(413);
    assert_eq!(call.code(), "body-too-large");
    assert!(call.text.contains("1048576"), "{call:?}");
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off_and_costs_nobody_else() {
    let scene = scene().await;
    scene.host.publish(example("http-hello")).await.expect(201);
    scene
        .mallory()
        .apply("kind: connection\nname: hello\npackage: example/http-hello@0.1.0\nverify: none\n")
        .await;
    let (address, token) =
        (scene.host.address(), format!("authorization: Bearer {}\r\n", scene.mallory().token));

    for path in [
        "/hooks/mallory/echo/hook",
        "/run/mallory/wf",
        "/api/v1/tenants/mallory/connections/echo/call/go",
        "/api/v1/apply",
    ] {
        let (said, sent) = scene.beside(wire::pour(address, path, &token)).await;
        assert!(
            said.starts_with("HTTP/1.1 413 ") && said.contains("body-too-large"),
            "{path} after {sent}: {said}"
        );
    }
    // A web server that never looks at the body answers, and then nobody reads on.
    let (said, sent) = scene.beside(wire::pour(address, "/hooks/mallory/hello/", "")).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "after {sent}: {said}");
    assert_eq!(scene.runs().await, 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body() {
    let scene = scene().await;
    let head = "POST /run/mallory/wf HTTP/1.1\r\nhost: wharf\r\n";
    let token = format!("authorization: Bearer {}\r\n", scene.mallory().token);
    for (how, rest) in [
        ("shorter than it says", "content-length: 100\r\n\r\n{}"),
        ("a chunk that is no chunk", "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ("two lengths", "content-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
        ("length and chunks", "content-length: 2\r\ntransfer-encoding: gzip\r\n\r\n{}"),
    ] {
        let said =
            scene.beside(wire::say(scene.host.address(), format!("{head}{token}{rest}").as_bytes())).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{how}: {said}");
    }
    assert_eq!(scene.runs().await, 0);
}
