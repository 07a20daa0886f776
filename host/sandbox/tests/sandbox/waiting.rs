//! Waiting costs no fuel and does count as wall time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host_model::bounds::Bounds;
use host_model::outcome::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::lab::{Lab, probe};

/// An outside system that answers `ok` to everything.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

/// One that thinks so long before each answer.
pub(crate) async fn upstream(thinks: Duration) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (tasks, record) = (TaskTracker::new(), Arc::clone(&seen));
    tasks.clone().spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let record = Arc::clone(&record);
            tasks.spawn(async move {
                let mut head = vec![0; 16_384];
                while let Ok(read @ 1..) = socket.read(&mut head).await {
                    record.lock().unwrap().push(String::from_utf8_lossy(&head[..read]).into_owned());
                    tokio::time::sleep(thinks).await;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if socket.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Upstream { address, seen }
}

/// One that takes the request and says nothing.
pub(crate) async fn silent() -> SocketAddr {
    upstream(Duration::from_secs(3_600)).await.address
}

#[tokio::test]
async fn waiting_costs_no_fuel_and_does_count_as_wall_time() {
    let thinks = Duration::from_millis(200);
    let mut usages = Vec::new();
    for thinks in [Duration::ZERO, thinks] {
        let upstream = upstream(thinks).await;
        let lab = Lab::start().reaching(upstream.address);
        let wish = format!("{{\"url\":\"http://{}/\"}}", upstream.address);
        let finished = lab.go(probe("fetch"), Bounds::default(), &wish).await;
        assert!(
            matches!(&finished.outcome, Outcome::Answered(text) if text.contains("\"status\":200")),
            "{finished:?}"
        );
        usages.push(finished.usage);
    }
    let (fast, slow) = (usages[0], usages[1]);
    let difference = fast.fuel.abs_diff(slow.fuel);
    assert!(difference < 1_000, "a port may have a digit more: {fast:?} {slow:?}");
    assert!(slow.wall() >= thinks, "{slow:?}");
    assert!(slow.wall_us - slow.guest_us >= 190_000, "the wait is not the guest's time: {slow:?}");
    assert!(fast.fuel > 1_000 && fast.peak_memory >= 65_536, "{fast:?}");
    assert_eq!((fast.outbound_calls, slow.outbound_calls), (1, 1));
    assert!(fast.host_calls >= 1 && fast.host_call_bytes > 20, "{fast:?}");
}
