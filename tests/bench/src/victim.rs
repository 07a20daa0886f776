//! What a tenant notices of another that attacks: the slowest of a hundred
//! requests of a victim within its share, alone and beside 1, 10 and 50
//! attackers, all on the same host and the same cores.
//!
//! A victim's callers would be on machines of their own. Here they share the
//! cores with all that, and would measure how long they wait for one themselves;
//! so the kernel says when an answer was there.

use std::io::{IoSliceMut, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use tests_harness::{Connection, Host, HostBuilder, probe};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::figures::{Figures, median};
use crate::native;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const ATTACKERS: [(usize, &str); 3] =
    [(1, "victim_p99_ratio_1"), (10, "victim_p99_ratio_10"), (50, "victim_p99_ratio_50")];
/// The victim: so many connections, each with a request so often. 400 requests
/// a second are a hundredth of two cores, far within half of them.
const CALLERS: u32 = 4;
const EVERY: Duration = Duration::from_millis(10);
/// What attackers call, in rotation: endless loops, memory up to its bound,
/// logs up to theirs, and a hundred requests to a port where nobody listens.
const ATTACKS: [(&str, &str); 4] = [
    ("loop-forever", "1"),
    ("eat-memory", "1"),
    ("log-flood", "1"),
    ("fetch-many", "{\"url\":\"http://127.0.0.1:9/\",\"count\":100}"),
];

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("victim: {CALLERS} connections with a request every {} ms, beside attackers", EVERY.as_millis());
    let closed = SocketAddr::from(([127, 0, 0, 1], 9));
    let host = HostBuilder::default().full_size().open(closed).start().await;
    host.publish(probe("lead-transform")).await.expect(201);
    let victim = host.tenant("acme").await;
    victim.apply(&Connection::new("lead", "probe/lead-transform@0.1.0").open_hooks().yaml()).await;
    let attacker = host.tenant("mallory").await;
    for (name, _) in ATTACKS {
        host.publish(probe(name)).await.expect(201);
        let connection = Connection::probe(name);
        let connection = match name {
            "fetch-many" => {
                connection.config("base-url", "http://127.0.0.1:9").grant_http("http://127.0.0.1:9")
            }
            _ => connection,
        };
        attacker.apply(&connection.yaml()).await;
    }
    let token = attacker.token.clone();
    p99(&host).await?; // compiled, mapped and warm

    let mut ratios = vec![Vec::new(); ATTACKERS.len()];
    for round in 0..ROUNDS {
        let alone = p99(&host).await?;
        print!("  round {round}: alone {alone:.2} ms");
        for ((count, _), ratios) in ATTACKERS.iter().zip(&mut ratios) {
            let attack = Attack::begin(&host, *count, &token);
            let beside = p99(&host).await?;
            let calls = attack.end().await;
            print!(", beside {count} {beside:.2} ms ({calls} calls of theirs)");
            ratios.push(beside / alone);
        }
        println!();
    }
    for ((_, figure), ratios) in ATTACKERS.into_iter().zip(ratios) {
        figures.set(figure, median(ratios));
    }
    Ok(())
}

/// The victim's 99th percentile over one round, in milliseconds.
async fn p99(host: &Host) -> anyhow::Result<f64> {
    let to = host.address();
    let callers: Vec<_> =
        (0..CALLERS).map(|number| tokio::task::spawn_blocking(move || caller(to, number))).collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await??);
    }
    times.sort();
    let at = times.len() * 99 / 100;
    Ok(times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3))
}

fn caller(to: SocketAddr, number: u32) -> anyhow::Result<Vec<Duration>> {
    let lead = native::lead();
    let request = format!(
        "POST /hooks/acme/lead/transform HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{lead}",
        lead.len()
    );
    let mut socket = std::net::TcpStream::connect(to)?;
    socket.set_nodelay(true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    // Not all in step.
    let (began, mut times) = (Instant::now() + EVERY * number / CALLERS, Vec::new());
    for beat in 0..ROUND.as_millis() / EVERY.as_millis() {
        let next = began + EVERY * u32::try_from(beat)?;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let sent = clock_gettime(ClockId::CLOCK_REALTIME)?;
        socket.write_all(request.as_bytes())?;
        times.push(Duration::from(answered(&socket)? - sent));
    }
    Ok(times)
}

/// Reads one answer, and says when its last packet was there.
fn answered(socket: &std::net::TcpStream) -> anyhow::Result<TimeSpec> {
    let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        let mut told = nix::cmsg_space!(TimeSpec);
        let mut into = [IoSliceMut::new(&mut piece)];
        let received = recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut told), MsgFlags::empty())?;
        let at = received.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::ScmTimestampns(at) => Some(at),
            _ => None,
        });
        let length = received.bytes;
        anyhow::ensure!(length > 0, "the host hung up");
        answer.extend_from_slice(piece.get(..length).unwrap_or_default());
        if is_whole(&answer)? {
            return at.context("the kernel did not say when the answer was there");
        }
    }
}

/// Whether this is an answer to its end; any other than 200 is an error.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(body) = head.parse(answer)? else { return Ok(false) };
    anyhow::ensure!(head.code == Some(200), "the victim was answered {:?}", head.code);
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.context("no length")?.value)?.parse()?;
    Ok(answer.len() >= body + length)
}

/// Attackers who call again as soon as they are answered, whatever the answer is.
struct Attack {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    tasks: TaskTracker,
}

impl Attack {
    fn begin(host: &Host, count: usize, token: &str) -> Self {
        let attack = Self { over: Arc::default(), calls: Arc::default(), tasks: TaskTracker::new() };
        for number in 0..count {
            let (over, calls) = (Arc::clone(&attack.over), Arc::clone(&attack.calls));
            let (to, token) = (host.address(), format!("Bearer {token}"));
            attack.tasks.spawn(async move {
                let mut next = number;
                let Ok(mut sender) = connect(to).await else { return };
                while !over.load(Ordering::Relaxed) {
                    let (name, input) = ATTACKS[next % ATTACKS.len()];
                    next += 1;
                    let request = Request::builder()
                        .method(Method::POST)
                        .uri(format!("/api/v1/tenants/mallory/connections/{name}/call/go"))
                        .header("host", "bench")
                        .header("authorization", &token)
                        .header("content-type", "application/json");
                    let Ok(request) = request.body(Full::new(Bytes::from_static(input.as_bytes()))) else {
                        return;
                    };
                    if send(&mut sender, request).await.is_err() {
                        return;
                    }
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        attack
    }

    /// Gives how many calls were answered.
    async fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.tasks.close();
        self.tasks.wait().await;
        self.calls.load(Ordering::Relaxed)
    }
}

async fn connect(to: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    TaskTracker::new().spawn(connection);
    Ok(sender)
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> anyhow::Result<()> {
    sender.ready().await?;
    sender.send_request(request).await?.into_body().collect().await?;
    Ok(())
}
