//! World `http-proxy`: an unmodified `wasi:http/proxy` component as an inbound endpoint.

use std::time::Duration;

use reqwest::Method;
use tests_harness::{Connection, Host, HostBuilder, Tenant, eventually, example, wasi_probe};
use tests_upstreams::{Credentials, Upstreams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a piece may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);

async fn hello(host: &Host, connection: Connection) -> Tenant<'_> {
    host.publish(example("http-hello")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.apply(&connection.yaml()).await;
    acme
}

fn plain() -> Connection {
    Connection::new("hello", "example/http-hello@0.1.0").open_hooks()
}

/// Reads until `text` has come, or the stream ends.
async fn read_until(stream: &mut TcpStream, seen: &mut String, text: &str) {
    while !seen.contains(text) {
        let mut piece = [0; 4_096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
        let read = read.unwrap_or_else(|_| panic!("`{text}` does not come: {seen}")).unwrap();
        assert!(read > 0, "the stream ended before `{text}`: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

#[tokio::test]
async fn it_serves_every_path_below_its_connection() {
    let host = Host::start().await;
    let acme = hello(&host, plain()).await;
    for (path, status, want) in [
        ("hello", 200, "Hello from a wasi:http/proxy component.\n"),
        ("hello/", 200, "Hello from a wasi:http/proxy component.\n"),
        ("hello/none?x=1", 404, "There is /"),
    ] {
        let answer = host.ask(host.request(Method::GET, &format!("/hooks/acme/{path}"))).await.expect(status);
        assert!(answer.text.starts_with(want), "{path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    let echoed =
        host.ask(acme.hook("hello/echo").header("content-type", "x/y").body("whole")).await.expect(200);
    assert_eq!((echoed.text.as_str(), &echoed.headers["content-type"]), ("whole", &"x/y".parse().unwrap()));
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let host = Host::start().await;
    hello(&host, plain()).await;
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    let head = "POST /hooks/acme/hello/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for word in ["first", "second", "third"] {
        stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).await.unwrap();
        // It is back before the next is sent.
        read_until(&mut stream, &mut seen, word).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, &mut seen, "\r\n0\r\n").await;
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
}

#[tokio::test]
async fn an_answer_leaves_line_by_line() {
    let host = Host::start().await;
    hello(&host, plain()).await;
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    stream.write_all(b"GET /hooks/acme/hello/stream HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    read_until(&mut stream, &mut seen, "\r\n0\r\n").await;
    // A chunk for each line: none waited for the next.
    for line in 1..=5 {
        assert!(seen.contains(&format!("\r\nline {line} of 5\n\r\n")), "{seen}");
    }
}

#[tokio::test]
async fn its_requests_pass_the_same_gate() {
    let lab = Upstreams::start(Credentials::default()).await.unwrap();
    let host = HostBuilder::default().open(lab.lab).start().await;
    let url = format!("http://{}", lab.lab);
    hello(&host, plain().config("base-url", &url).grant_http(&url)).await;
    let path = format!("/hooks/acme/hello/fetch?url={url}/echo");
    let answer = host.ask(host.request(Method::GET, &path)).await.expect(200);
    assert_eq!((&answer.json()["path"], lab.lab_received().len()), (&"/echo".into(), 1), "{answer:?}");
}

#[tokio::test]
async fn without_the_grant_its_request_is_denied_and_it_can_say_so() {
    let lab = Upstreams::start(Credentials::default()).await.unwrap();
    let host = HostBuilder::default().open(lab.lab).start().await;
    let url = format!("http://{}", lab.lab);
    hello(&host, plain().config("base-url", &url)).await;
    let path = format!("/hooks/acme/hello/fetch?url={url}/echo");
    let answer = host.ask(host.request(Method::GET, &path)).await.expect(502);
    assert_eq!(answer.text, "ErrorCode::HttpRequestDenied\n", "the guest's own words");
    assert_eq!(lab.lab_received().len(), 0);
}

#[tokio::test]
async fn what_a_languages_runtime_drags_in_is_linked_and_answers_denied() {
    let host = Host::start().await;
    host.publish(wasi_probe("wasi-reach")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.apply(&Connection::probe("wasi-reach").yaml()).await;
    let told = host.ask(acme.hook("wasi-reach")).await.expect(200).text;
    let of = |what: &str| {
        told.lines().find_map(|line| line.strip_prefix(&format!("{what}: "))).unwrap().to_owned()
    };
    assert_eq!((of("environment").as_str(), of("arguments").as_str()), ("[]", "[]"));
    for what in ["folder", "file", "write", "connect", "resolve"] {
        assert!(of(what).starts_with("Err("), "{told}");
    }
    assert!(of("connect").contains("PermissionDenied"), "{told}");
    // What it printed belongs to no run, so it is in the operator's log, with whose it is.
    let lines = eventually("what it printed", async || {
        let log = host.log();
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains("to standard ")).map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines)
    })
    .await;
    assert!(lines.iter().all(|line| line.contains("acme") && line.contains("wasi-reach")), "{lines:?}");
}
