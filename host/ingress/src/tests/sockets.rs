//! The server on real sockets, with callers that do not behave.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;

/// Long against loopback, short against patience.
const SHORT: Duration = Duration::from_millis(100);
/// Longer than any test may take.
const LONG: Duration = Duration::from_secs(60);

pub(super) struct Server {
    pub(super) address: std::net::SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<Drained>,
}

pub(super) fn patient() -> Settings {
    Settings { head_time: LONG, stall_time: LONG, grace: LONG, ..Settings::default() }
}

async fn start(front: Front<Scripted>, settings: Settings) -> Server {
    start_with(front, settings, None).await
}

pub(super) async fn start_with(front: Front<Scripted>, settings: Settings, tls: Option<Arc<Tls>>) -> Server {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener { socket, tls };
    let stop = CancellationToken::new();
    let cores = Arc::new(Cores::start(NonZeroUsize::new(2).unwrap()).unwrap());
    let ended = TaskTracker::new().spawn(serve(listener, cores, Arc::new(front), settings, stop.clone()));
    Server { address, stop, ended }
}

impl Server {
    /// Sends these bytes and reads until the server closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut socket = self.open(bytes).await;
        let mut answer = Vec::new();
        // A reset after the answer is as good as an end.
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn open(&self, bytes: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket
    }

    pub(super) async fn stopped(self) -> Drained {
        self.stop.cancel();
        self.ended.await.unwrap()
    }
}

/// Reads one response of known length.
async fn read_answer(socket: &mut TcpStream, until: &str) -> String {
    let mut answer = String::new();
    let mut piece = [0; 1024];
    while !answer.contains(until) {
        let length = socket.read(&mut piece).await.unwrap();
        assert!(length > 0, "closed after: {answer}");
        answer.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    answer
}

const POST: &str = "POST /hooks/acme/form HTTP/1.1\r\nhost: x\r\n";

#[tokio::test]
async fn whoever_asks_for_the_head_learns_the_length_and_gets_no_body() {
    let front = routes(Limits::default(), |_| async {
        Ok(Reply::Answer(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: "12345".into() }))
    });
    let server = start(front, patient()).await;
    let request = b"HEAD /hooks/acme/form HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = server.exchange(request).await;
    assert!(answer.contains("content-length: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn what_is_no_hook_and_no_run_goes_to_the_router() {
    let stages = Arc::new(Scripted(Box::new(|_| panic!("not for the stages"))));
    let rest = axum::Router::new().route("/health", axum::routing::get(async || "well"));
    let server = start(Front::new(stages, Limits::default(), rest), patient()).await;
    let get = |path| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(server.exchange(get("/health").as_bytes()).await.ends_with("well"));
    for path in ["/", "/hooks", "/hooks/acme", "/hooks//form", "/hooksy/a/b", "/run/acme", "/run/acme/a/b"] {
        let answer = server.exchange(get(path).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("no-route"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn hooks_are_served_on_a_core_and_a_router_that_takes_long_keeps_none_of_them_waiting() {
    fn here() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }
    let stages = Arc::new(Scripted(Box::new(|_| {
        let body = here().into();
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body };
        Box::pin(async { Ok(Reply::Answer(answer)) })
    })));
    let rest = axum::Router::new().route("/where", axum::routing::get(async || here()));
    let server = start(Front::new(stages, Limits::default(), rest), patient()).await;
    let hook = server.exchange(format!("{POST}connection: close\r\n\r\n").as_bytes()).await;
    assert!(hook.contains("sockets-"), "{hook}");
    let rest = server.exchange(b"GET /where HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(rest.starts_with("HTTP/1.1 200") && !rest.contains("sockets-"), "{rest}");
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let server = start(echo(Limits::default()), patient()).await;
    let mut socket = server.open(format!("{POST}content-length: 3\r\n\r\none").as_bytes()).await;
    assert!(read_answer(&mut socket, "one").await.starts_with("HTTP/1.1 200 OK"));
    socket.write_all(format!("{POST}content-length: 3\r\n\r\ntwo").as_bytes()).await.unwrap();
    assert!(read_answer(&mut socket, "two").await.contains("content-length: 3"));
    assert_eq!(server.stopped().await, Drained::Clean);
}

#[tokio::test]
async fn a_slow_body_ends_in_408() {
    let limits = Limits { body_time: SHORT, ..Limits::default() };
    let server = start(echo(limits), patient()).await;
    let answer = server.exchange(format!("{POST}content-length: 1000\r\n\r\nbegun").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body-too-slow"), "{answer}");
}

#[tokio::test]
async fn an_endless_body_ends_in_413() {
    let limits = Limits { body_bytes: 1_000, ..Limits::default() };
    let server = start(echo(limits), patient()).await;
    let mut bytes = format!("{POST}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..1_000 {
        bytes.extend_from_slice(b"a\r\n0123456789\r\n");
    }
    let answer = server.exchange(&bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_length_that_lies_is_refused() {
    let server = start(echo(Limits::default()), patient()).await;
    let huge = format!("{POST}content-length: 99999999999\r\n\r\n");
    assert!(server.exchange(huge.as_bytes()).await.starts_with("HTTP/1.1 413"));
    // Two ways to say where the body ends is how requests are smuggled.
    let both = format!("{POST}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd");
    assert!(server.exchange(both.as_bytes()).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = start(echo(Limits::default()), Settings { head_time: SHORT, ..patient() }).await;
    assert_eq!(server.exchange(b"POST /hooks/acme/form HTTP/1.1\r\nhost: x\r\nx-slow: ").await, "");
    assert_eq!(server.exchange(b"").await, "", "so is a connection that says nothing");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = start(echo(Limits::default()), patient()).await;
    let long = format!("{POST}connection: close\r\nx-long: {}\r\n\r\n", "a".repeat(50_000));
    assert!(server.exchange(long.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let endless = format!("{POST}x-long: {}", "a".repeat(200_000));
    assert!(server.exchange(endless.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let long = format!("GET /hooks/acme/form?{} HTTP/1.1\r\nconnection: close\r\n\r\n", "a".repeat(10_000));
    assert!(server.exchange(long.as_bytes()).await.starts_with("HTTP/1.1 414"));
}

#[tokio::test]
async fn a_caller_beyond_the_cap_waits_for_a_connection_to_end() {
    let one = Settings { connections: NonZeroUsize::MIN, ..patient() };
    let server = start(echo(Limits::default()), one).await;
    let mut first = server.open(format!("{POST}content-length: 5\r\n\r\nfirst").as_bytes()).await;
    read_answer(&mut first, "first").await;

    let mut second = server.open(format!("{POST}content-length: 6\r\n\r\nsecond").as_bytes()).await;
    let early = tokio::time::timeout(SHORT, second.readable()).await;
    assert!(early.is_err(), "answered beyond the cap");

    drop(first);
    read_answer(&mut second, "second").await;
}

#[tokio::test]
async fn draining_answers_what_has_begun_and_closes_what_idles() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
    let front = routes(Limits::default(), move |_| {
        let (begins, goes) = (Arc::clone(&begins), Arc::clone(&goes));
        async move {
            begins.notify_one();
            goes.notified().await;
            Err(Refusal::NoRoute)
        }
    });
    let server = start(front, patient()).await;
    let mut busy = server.open(format!("{POST}\r\n").as_bytes()).await;
    begun.notified().await;
    // One on each core: when they are closed, both cores have heard of the end.
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut idle = [server.open(get).await, server.open(get).await];
    for idle in &mut idle {
        read_answer(idle, "no-route").await;
    }

    server.stop.cancel();
    for mut idle in idle {
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    }
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await; // until the listener is gone
    }
    go.notify_one();
    let answer = read_answer(&mut busy, "no-route").await;
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(server.stopped().await, Drained::Clean);
}

#[tokio::test]
async fn draining_cuts_what_outlasts_the_grace() {
    let begun = Arc::new(Notify::new());
    let begins = Arc::clone(&begun);
    let front = routes(Limits::default(), move |_| {
        begins.notify_one();
        std::future::pending()
    });
    let server = start(front, Settings { grace: SHORT, ..patient() }).await;
    let mut stuck = server.open(format!("{POST}\r\n").as_bytes()).await;
    begun.notified().await;
    assert_eq!(server.stopped().await, Drained::TimedOut);
    assert_eq!(stuck.read(&mut [0; 16]).await.unwrap_or(0), 0, "the connection was cut");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_request() {
    struct Noted(Arc<Notify>);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (begun, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&ended));
    let front = routes(Limits::default(), move |_| {
        let (begins, held) = (Arc::clone(&begins), Noted(Arc::clone(&ends)));
        async move {
            let _held = held;
            begins.notify_one();
            std::future::pending().await
        }
    });
    let server = start(front, patient()).await;
    let caller = server.open(format!("{POST}\r\n").as_bytes()).await;
    begun.notified().await;
    drop(caller);
    ended.notified().await;
}
