//! The load: keep-alive HTTP/1.1 connections that send one request after another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// One request, sent over and over.
#[derive(Clone)]
pub(crate) struct Shot {
    pub(crate) to: SocketAddr,
    /// Asked in rotation.
    pub(crate) paths: Arc<[String]>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) expect: StatusCode,
}

/// What came of it.
pub(crate) struct Volley {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// How many were sent and answered.
    pub(crate) count: usize,
}

/// Sends from `callers` connections for `time`; any other answer than expected
/// is an error. They are spread over a thread for each core, which share
/// nothing: threads that wake each other would be what is measured.
pub(crate) async fn fire(shot: &Shot, callers: usize, time: Duration) -> anyhow::Result<Volley> {
    let threads = std::thread::available_parallelism()?.get();
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let volleys: Vec<_> = (0..threads)
        .map(|thread| {
            let (shot, over) = (shot.clone(), Arc::clone(&over));
            tokio::task::spawn_blocking(move || volley(&shot, (thread..callers).step_by(threads), &over))
        })
        .collect();
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for volley in volleys {
        times.extend(volley.await??);
    }
    let per_second = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort();
    let at =
        |part: usize| times.get(times.len() * part / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Ok(Volley { per_second, p50_ms: at(50), p99_ms: at(99), count: times.len() })
}

/// One thread's callers, until it is over.
fn volley(
    shot: &Shot,
    callers: impl Iterator<Item = usize>,
    over: &Arc<AtomicBool>,
) -> anyhow::Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = TaskTracker::new();
    let spawn = |number| tasks.spawn_on(caller(shot.clone(), number, Arc::clone(over)), runtime.handle());
    let handles: Vec<_> = callers.map(spawn).collect();
    runtime.block_on(async {
        let mut times = Vec::new();
        for handle in handles {
            times.extend(handle.await??);
        }
        Ok(times)
    })
}

async fn caller(shot: Shot, first: usize, over: Arc<AtomicBool>) -> anyhow::Result<Vec<Duration>> {
    let stream = TcpStream::connect(shot.to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let tasks = TaskTracker::new();
    tasks.spawn(connection);
    let mut times = Vec::new();
    let mut next = first * 7;
    while !over.load(Ordering::Relaxed) {
        next += 1;
        let path = shot.paths[next % shot.paths.len()].as_str();
        let mut request = Request::builder().method(Method::POST).uri(path).header("host", "bench");
        for (name, value) in &shot.headers {
            request = request.header(*name, value);
        }
        let sent = Instant::now();
        sender.ready().await?;
        let answer = sender.send_request(request.body(Full::new(shot.body.clone()))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        anyhow::ensure!(
            status == shot.expect,
            "{path} answered {status}: {}",
            String::from_utf8_lossy(&body)
        );
        times.push(sent.elapsed());
    }
    Ok(times)
}
