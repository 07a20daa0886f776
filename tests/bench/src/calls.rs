//! What one call costs, without HTTP: a fresh instance of a Rust connector
//! that transforms a 1 KB lead, alone, among 500, and on two threads; and the
//! same in an instance that is used again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_model::bounds::Bounds;
use host_model::http_types::InboundRequest;
use host_model::outcome::Outcome;
use host_model::resource::Connection;
use host_sandbox::Sandbox;

use crate::figures::{Figures, median};
use crate::idle::{Fleet, fleet};
use crate::native;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);

pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("calls: a fresh sandbox around a 1 KB JSON transform");
    let threads =
        |count| tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_all().build();
    let (one, two) = (threads(1)?, threads(2)?);
    let Fleet { sandbox, connections } = one.block_on(fleet(500))?;
    let first: Arc<[_]> = connections.iter().take(1).cloned().collect();
    let all: Arc<[_]> = connections.into();

    // Everything is compiled and warm before the clock starts.
    one.block_on(call(&sandbox, &all, 1_000))?;
    let (mut alone, mut among, mut both, mut reused) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        alone.push(one.block_on(rate(&sandbox, &first, 1))?);
        both.push(two.block_on(rate(&sandbox, &first, 2))?);
        among.push(one.block_on(rate(&sandbox, &all, 1))?);
        reused.push(one.block_on(reuse(&sandbox, &first[0]))?);
    }
    let (alone, among, both) = (median(alone), median(among), median(both));
    figures.set("fresh_call_us", 1e6 / alone);
    figures.set("fresh_call_us_500", 1e6 / among);
    figures.set("fresh_scaling_2_threads", both / alone);
    figures.set("reused_call_us", median(reused));
    Ok(())
}

/// A request with this body, which is made once: making it is not what is measured.
fn request(body: &Bytes) -> InboundRequest {
    InboundRequest {
        endpoint: "transform".parse().unwrap(),
        method: http::Method::POST,
        path: String::new(),
        query: None,
        headers: [(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"))]
            .into_iter()
            .collect(),
        body: body.clone(),
    }
}

async fn call(sandbox: &Sandbox, connections: &[Arc<Connection>], times: usize) -> anyhow::Result<()> {
    let body = native::lead().into();
    for connection in connections.iter().cycle().take(times.max(connections.len())) {
        let finished = sandbox.receive(connection, request(&body)).await?;
        anyhow::ensure!(matches!(finished.outcome, Outcome::Answered(_)), "{:?}", finished.outcome);
    }
    Ok(())
}

/// Calls a second on this many tasks.
async fn rate(
    sandbox: &Arc<Sandbox>,
    connections: &Arc<[Arc<Connection>]>,
    tasks: usize,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let tracker = tokio_util::task::TaskTracker::new();
    let handles: Vec<_> = (0..tasks)
        .map(|task| {
            let (sandbox, connections) = (Arc::clone(sandbox), Arc::clone(connections));
            tracker.spawn(async move {
                let body = native::lead().into();
                let mut calls = 0;
                let mut next = task * connections.len() / 2;
                while began.elapsed() < ROUND {
                    for _ in 0..50 {
                        next = (next + 1) % connections.len();
                        sandbox.receive(&connections[next], request(&body)).await?;
                        calls += 1;
                    }
                }
                anyhow::Ok(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for handle in handles {
        calls += handle.await??;
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}

/// Microseconds a call in one instance that is used again and again.
async fn reuse(sandbox: &Sandbox, connection: &Arc<Connection>) -> anyhow::Result<f64> {
    const TIMES: u32 = 5_000;
    let bounds =
        Bounds { fuel: u64::MAX / 2, memory: 256 << 20, wall: Duration::from_secs(60), ..Bounds::default() };
    let connection = Arc::new(Connection { bounds, ..Connection::clone(connection) });
    let body = native::lead().into();
    let began = Instant::now();
    sandbox.receive_again_and_again(&connection, request(&body), TIMES).await?;
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES))
}
