//! A name of mallory's that says one address when it is judged and another
//! later. Two addresses of this machine stand for the outside, which the
//! operator opened, and for the inside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tests_harness::{Connection, HostBuilder, Names};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::scene::Scene;

const NAME: &str = "rebind.test";
const OUTSIDE: &str = "127.0.0.2";
const INSIDE: &str = "127.0.0.1";

/// Answers and hangs up, so that each request is a dial; counts who came.
async fn server(address: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, came) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    TaskTracker::new().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            let _asked = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    (address, came)
}

struct Rebinding {
    scene: Scene,
    names: Names,
    url: String,
    outside: Arc<AtomicUsize>,
    inside: Arc<AtomicUsize>,
}

impl Rebinding {
    async fn new() -> Self {
        let (address, outside) = server(format!("{OUTSIDE}:0").parse().unwrap()).await;
        let (_, inside) = server(SocketAddr::new(INSIDE.parse().unwrap(), address.port())).await;
        let names = Names::default();
        names.say(NAME, &[OUTSIDE]);
        let scene = Scene::empty(HostBuilder::default().open(address).names(&names)).await;
        scene.publish("fetch").await;
        let url = format!("http://{NAME}:{}", address.port());
        let connection = Connection::probe("fetch").config("base-url", &url).grant_http(&url);
        scene.mallory().apply(&connection.yaml()).await;
        Self { scene, names, url, outside, inside }
    }

    async fn fetch(&self) -> Value {
        let report = self.scene.report("fetch", json!({ "url": format!("{}/", self.url) })).await;
        report["outcome"]["value"].clone()
    }

    async fn is_denied(&self) {
        let told = self.fetch().await["error"].to_string();
        assert!(told.contains("Denied") && told.contains("not public"), "{told}");
        assert!(!told.contains(INSIDE), "what a name means inside is none of a guest's business: {told}");
    }

    fn came(&self) -> (usize, usize) {
        (self.outside.load(Ordering::Relaxed), self.inside.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_name_that_turns_inward_is_refused_at_the_next_dial() {
    let story = Rebinding::new().await;
    assert_eq!(story.fetch().await["status"], 204, "the twin goes out");
    for inward in [INSIDE, "::1", "::ffff:127.0.0.1", "169.254.169.254"] {
        story.names.say(NAME, &[inward]);
        story.is_denied().await;
    }
    story.names.say(NAME, &[OUTSIDE]);
    assert_eq!(story.fetch().await["status"], 204);
    assert_eq!(story.came(), (2, 0));
}

#[tokio::test]
async fn one_bad_address_of_a_name_spoils_the_good_one() {
    let story = Rebinding::new().await;
    for both in [[OUTSIDE, INSIDE], [INSIDE, OUTSIDE]] {
        story.names.say(NAME, &both);
        story.is_denied().await;
    }
    assert_eq!(story.came(), (0, 0));
}
