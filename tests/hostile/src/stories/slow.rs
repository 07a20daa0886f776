//! Bodies that come a byte at a time: from whoever knocks, and from an outside system.

use std::time::Duration;

use serde_json::json;
use tests_harness::{Connection, HostBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::scene::Scene;

/// Callers that never come to the end of their body.
const CALLERS: usize = 200;
/// Between two bytes.
const DRIP: Duration = Duration::from_millis(50);

#[tokio::test]
async fn callers_who_send_a_byte_at_a_time_hold_no_place_that_others_need() {
    let scene = Scene::with(&["trap"]).await;
    let one = "{\"name\":\"mallory\",\"concurrency\":1}";
    scene.host.operate(reqwest::Method::PUT, "/tenants/mallory", one).await.expect(200);
    let dripping = async {
        let head = "POST /hooks/mallory/trap/hook HTTP/1.1\r\nhost: wharf\r\ncontent-length: 100000\r\n\r\n";
        let mut sockets = Vec::new();
        for _ in 0..CALLERS {
            let mut socket = TcpStream::connect(scene.host.address()).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            sockets.push(socket);
        }
        for _ in 0..10 {
            for socket in &mut sockets {
                socket.write_all(b"x").await.unwrap();
            }
            tokio::time::sleep(DRIP).await;
        }
        // Mallory's one place is free: what is read slowly has no place yet.
        let answer = scene.host.ask(scene.mallory().hook("trap/hook").body("quick")).await.expect(502);
        assert_eq!(answer.code(), "connector-failed");
        answer
    };
    scene.beside(dripping).await;
    assert_eq!(
        scene.host.log().matches("the probe panics").count(),
        1,
        "only the whole body reached the guest"
    );
}

#[tokio::test]
async fn an_answer_that_comes_a_byte_at_a_time_ends_at_the_callers_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outside = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    tasks.clone().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tasks.spawn(async move {
                let _asked = socket.read(&mut [0; 1024]).await;
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
                socket.write_all(head).await.ok();
                while socket.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(DRIP).await;
                }
            });
        }
    });
    let scene = Scene::empty(HostBuilder::default().open(outside)).await;
    scene.publish("fetch").await;
    let url = format!("http://{outside}");
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", &url).grant_http(&url).yaml()).await;
    let wish = json!({ "url": format!("{url}/"), "timeout-ms": 500 });
    let report = scene.report("fetch", wish).await;
    let error = report["outcome"]["value"]["error"].as_str().unwrap();
    assert!(error.contains("Timeout"), "{report}");
}
