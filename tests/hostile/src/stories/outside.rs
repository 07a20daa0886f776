//! Outside systems that do not keep to the protocol: a guest gets an error or
//! a bounded answer, the host its socket back, and a bystander is answered meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tests_harness::{Connection, HostBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::scene::Scene;

/// A server that reads a little of each request, writes this, and then the
/// piece again and again, if there is one.
async fn saying(head: &'static str, piece: &str) -> SocketAddr {
    let piece: Arc<str> = piece.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let piece = Arc::clone(&piece);
            tasks.spawn(async move {
                let _asked = socket.read(&mut [0; 1024]).await;
                socket.write_all(head.as_bytes()).await.ok();
                while !piece.is_empty() && socket.write_all(piece.as_bytes()).await.is_ok() {}
            });
        }
    });
    address
}

async fn asked(address: SocketAddr, wall_ms: u64) -> (Scene, Value) {
    let scene = Scene::empty(HostBuilder::default().open(address)).await;
    scene.publish("fetch").await;
    let url = format!("http://{address}");
    let connection = Connection::probe("fetch").config("base-url", &url).grant_http(&url);
    scene.mallory().apply(&connection.bound("wall-ms", wall_ms).bound("body-bytes", 1 << 20).yaml()).await;
    let report = scene.report("fetch", json!({ "url": format!("{url}/"), "timeout-ms": 1_000 })).await;
    (scene, report)
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_no_answer() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\nhellothere",
        "HTTP/1.1 200 OK\r\ncontent-length: 5, 9\r\n\r\nhellothere",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/9.9 200 OK\r\n\r\n",
        "hello",
    ] {
        let (_scene, report) = asked(saying(head, "").await, 5_000).await;
        let value = &report["outcome"]["value"];
        assert_eq!(report["outcome"]["outcome"], "answered", "{head:?}: {report}");
        assert!(value["error"].to_string().contains("ConnectionFailed"), "{head:?}: {value}");
    }
}

#[tokio::test]
async fn heads_and_bodies_without_an_end_end_at_their_bound() {
    let more = "more".repeat(1_000);
    let chunk = format!("fa0\r\n{more}\r\n");
    for (head, piece, want) in [
        ("HTTP/1.1 200 OK\r\n", "x-more: and more\r\n", "ConnectionFailed"),
        ("HTTP/1.1 200 OK\r\nx-long: ", "xxxxxxxxxxxxxxxx", "ConnectionFailed"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &chunk, "ResponseTooLarge"),
        ("HTTP/1.1 200 OK\r\n\r\n", &more, "ResponseTooLarge"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n", &more, "ResponseTooLarge"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "Timeout"),
    ] {
        let (_scene, report) = asked(saying(head, piece).await, 5_000).await;
        let value = &report["outcome"]["value"];
        assert_eq!(report["outcome"]["outcome"], "answered", "{head:?}: {report}");
        assert!(value["error"].to_string().contains(want), "{head:?}: {value}");
    }
}
