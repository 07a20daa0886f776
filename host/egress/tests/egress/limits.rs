//! What an exchange may take, and what is left when it takes more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_egress::{BoxError, EgressError, SendLimits, full_body, streamed_body};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;

use crate::support::{LIMITS, Upstream, World, bearer, bringing, get, granted, read_head, request};

fn quick(ms: u64) -> SendLimits {
    SendLimits { timeout: Duration::from_millis(ms), ..LIMITS }
}

const SMALL: SendLimits = SendLimits { body_bytes: 10, ..LIMITS };

/// Writes a head, and then this for ever.
async fn endless(head: &'static str, piece: &'static str, pause: u64) -> Upstream {
    Upstream::speaking(move |mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(head.as_bytes()).await.unwrap();
        while socket.write_all(piece.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_over_its_bound_ends_at_the_bound() {
    let said = Upstream::answering(|_| Response::new(Bytes::from("eleven byte"))).await;
    let chunked = endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "4\r\nmore\r\n", 0).await;
    let until_close = endless("HTTP/1.1 200 OK\r\n\r\n", "more", 0).await;
    for upstream in [&said, &chunked, &until_close] {
        let crm = Arc::new(granted(&[&upstream.origin()]));
        let sent =
            World::open_to(&[upstream]).egress.send_buffered(&crm, get(&upstream.url("/")), SMALL).await;
        assert_eq!(sent.answer.unwrap_err(), EgressError::ResponseTooLarge(10));
    }
    let fits = Upstream::answering(|_| Response::new(Bytes::from("ten bytes!"))).await;
    let crm = Arc::new(granted(&[&fits.origin()]));
    let sent = World::open_to(&[&fits]).egress.send_buffered(&crm, get(&fits.url("/")), SMALL).await;
    assert_eq!(sent.answer.unwrap().body(), "ten bytes!");
}

#[tokio::test]
async fn a_request_body_over_its_bound_is_refused_and_not_sent_whole() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    let pieces = (0..).map(|_| Ok::<_, BoxError>(Frame::data(Bytes::from("four"))));
    let endless = streamed_body(StreamBody::new(Iter(pieces)));
    for body in [full_body("eleven byte"), endless] {
        let request = request("POST", &upstream.url("/"), &[]).map(|_| body);
        match world.egress.send_buffered(&crm, request, SMALL).await.answer {
            Err(EgressError::InvalidRequest(why)) => assert!(why.contains("larger than 10 bytes"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

/// An iterator as a stream that is always ready.
struct Iter<I>(I);

impl<I: Iterator + Unpin> futures::Stream for Iter<I> {
    type Item = I::Item;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_or_never_ends_runs_into_the_timeout() {
    let silent = Upstream::speaking(|socket| async move {
        let _open = socket;
        std::future::pending().await
    })
    .await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let trickling = endless(head, "1\r\nx\r\n", 5).await;
    let stuck = endless("HTTP/1.1 200 OK\r\nx-", "a", 5).await;
    for upstream in [&silent, &trickling, &stuck] {
        let crm = Arc::new(granted(&[&upstream.origin()]));
        let sent =
            World::open_to(&[upstream]).egress.send_buffered(&crm, get(&upstream.url("/")), quick(60)).await;
        assert_eq!(sent.answer.unwrap_err(), EgressError::Timeout);
    }
}

#[tokio::test]
async fn a_request_body_that_never_comes_ends_with_its_exchange() {
    let upstream = Upstream::speaking(|mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await.ok();
        tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.ok();
    })
    .await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    let (held, body) = fed();
    let request = request("POST", &upstream.url("/"), &[]).map(|_| body);
    let sent = world.egress.send_buffered(&crm, request, quick(60)).await;
    assert_eq!(sent.answer.unwrap().body(), "early");
    let drained = tokio::time::timeout(Duration::from_secs(5), world.egress.drain()).await;
    drained.expect("its task ends at the deadline, although the guest still holds its end");
    drop(held);
}

/// A body that comes piece by piece, for as long as the other end is held.
fn fed() -> (tokio::sync::mpsc::Sender<Bytes>, host_egress::Body) {
    let (held, mut queue) = tokio::sync::mpsc::channel::<Bytes>(1);
    let queue = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    let queue = futures::StreamExt::map(queue, |piece| Ok::<_, BoxError>(Frame::data(piece)));
    (held, streamed_body(StreamBody::new(queue)))
}

#[tokio::test]
async fn a_host_that_nobody_serves_or_that_breaks_off_is_a_failed_connection() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cut = Upstream::writing(&["HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"]).await;
    let crm = Arc::new(granted(&[&format!("http://{gone}"), &cut.origin(), "http://nowhere.invalid"]));
    let mut policy = crate::support::opened(&[&cut]);
    policy.open.push(gone.to_string().parse().unwrap());
    let config = host_egress::EgressConfig {
        policy,
        resolver: Arc::new(crate::support::Script::default()),
        ..Default::default()
    };
    let world = World::with(config);
    for (url, want) in [
        (format!("http://{gone}/"), "cannot be reached"),
        (cut.url("/"), "broke off"),
        ("http://nowhere.invalid/".to_owned(), "cannot be looked up"),
    ] {
        match world.get(&crm, &url).await {
            Err(EgressError::ConnectionFailed(why)) => assert!(why.contains(want), "{why}"),
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_with_a_head_without_end_is_cut() {
    let upstream = endless("HTTP/1.1 200 OK\r\n", "x-more: and more and more and more and more\r\n", 0).await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let answer = World::open_to(&[&upstream]).get(&crm, &upstream.url("/")).await;
    assert!(matches!(answer, Err(EgressError::ConnectionFailed(_))), "{answer:?}");
}

#[tokio::test]
async fn bodies_stream_both_ways_also_past_the_scrubber() {
    // The upstream answers with each piece as it comes, so neither side can wait for the other's end.
    let upstream = Upstream::speaking(|mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let (mut from, mut to) = socket.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    })
    .await;
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", "hunter22").await;

    let (pieces, body) = fed();
    let request = request("POST", &upstream.url("/"), &[]).map(|_| body);
    let sent = world.egress.send(&crm, request, LIMITS).await;
    let mut body = sent.answer.unwrap().into_body();
    for piece in ["ping", "pong"] {
        pieces.send(Bytes::from(piece)).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(pieces);
    assert!(body.frame().await.is_none());
    let info = sent.exchange.info();
    assert_eq!((info.sent, info.received), (8, 8));
}

#[tokio::test]
async fn one_connections_exchanges_are_bounded_and_a_dropped_body_makes_room() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let upstream = endless(head, "1\r\nx\r\n", 1_000).await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(world.egress.send(&crm, get(&upstream.url("/")), LIMITS).await.answer.unwrap());
    }
    let over = world.egress.send(&crm, get(&upstream.url("/")), quick(50)).await;
    assert_eq!(over.answer.unwrap_err(), EgressError::Timeout);
    open.pop();
    assert!(world.egress.send(&crm, get(&upstream.url("/")), LIMITS).await.answer.is_ok());
}

#[tokio::test]
async fn the_record_says_what_was_asked_and_what_came_of_it() {
    let upstream =
        Upstream::answering(|_| Response::builder().status(404).body(Bytes::from("none")).unwrap()).await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    let request = request("PUT", &upstream.url("/things/1?key=x"), &[]).map(|_| full_body("hello"));
    let info = world.send(&crm, request).await.exchange.info();
    assert_eq!((info.method.as_str(), info.path.as_str()), ("PUT", "/things/1"));
    assert_eq!(info.origin.unwrap().to_string(), upstream.origin());
    assert_eq!((info.status.unwrap().as_u16(), info.sent, info.received), (404, 5, 4));

    let denied = World::closed().send(&crm, get(&upstream.url("/"))).await.exchange.info();
    assert_eq!(
        (denied.origin.unwrap().to_string(), denied.status, denied.sent),
        (upstream.origin(), None, 0)
    );
    let relative = world.send(&crm, get("/x")).await.exchange.info();
    assert_eq!((relative.origin, relative.path.as_str()), (None, "/x"));
}
