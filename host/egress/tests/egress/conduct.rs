//! How a connection behaves towards an outside system that is slow, busy or down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host_egress::{BoxError, Ceilings, EgressConfig, EgressError, Refusal, full_body, streamed_body};
use host_model::resource::{Connection, EgressSpec};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt;

use crate::support::{Upstream, World, get, granted, opened, read_head, request};

fn behaving(origins: &[&str], egress: &str) -> Arc<Connection> {
    let spec: EgressSpec = serde_json::from_str(egress).unwrap();
    Arc::new(Connection { egress: spec.settings().unwrap(), ..granted(origins) })
}

fn status(code: u16) -> Response<Bytes> {
    Response::builder().status(code).body(Bytes::new()).unwrap()
}

/// Answers with these statuses in turn, and with the last one from then on.
async fn in_turn(codes: &'static [u16]) -> Upstream {
    let asked = AtomicUsize::new(0);
    let next = Arc::new(move |_: &Request<Bytes>| {
        let at = asked.fetch_add(1, Ordering::SeqCst).min(codes.len() - 1);
        status(codes[at])
    });
    Upstream::answering(move |request| next(request)).await
}

const RETRY: &str = r#"{ "retry": { "tries": 3, "pause-ms": 1, "longest-pause-ms": 2 } }"#;

#[tokio::test]
async fn a_request_that_may_be_repeated_is_sent_again_and_any_other_is_not() {
    for (method, headers, body, want) in [
        ("GET", vec![], "", 3),
        ("PUT", vec![], "hello", 3),
        ("POST", vec![("idempotency-key", "7")], "hello", 3),
        ("POST", vec![], "hello", 1),
        ("PATCH", vec![], "hello", 1),
    ] {
        let upstream = in_turn(&[503, 502, 200]).await;
        let crm = behaving(&[&upstream.origin()], RETRY);
        let request = request(method, &upstream.url("/"), &headers).map(|_| full_body(body));
        let sent = World::open_to(&[&upstream]).send(&crm, request).await;
        assert_eq!(sent.exchange.info().tries, want, "{method} {headers:?}");
        assert_eq!(sent.answer.unwrap().status(), if want == 3 { 200 } else { 503 });
        let seen = upstream.seen();
        assert_eq!(seen.len(), want as usize);
        assert!(seen.iter().all(|request| request.body() == body), "whole, each time");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_repeated_and_tries_are_bounded() {
    for (codes, want) in [(&[400_u16][..], 1), (&[500], 1), (&[401], 1), (&[503], 3)] {
        let upstream = Upstream::answering(move |_| status(codes[0])).await;
        let crm = behaving(&[&upstream.origin()], RETRY);
        let sent = World::open_to(&[&upstream]).send(&crm, get(&upstream.url("/"))).await;
        assert_eq!((sent.answer.unwrap().status().as_u16(), upstream.seen().len()), (codes[0], want));
    }
    // One that cannot come in time is not tried: the answer is better than a timeout.
    let busy = Upstream::answering(|_| {
        Response::builder().status(503).header("retry-after", "60").body(Bytes::new()).unwrap()
    })
    .await;
    let crm = behaving(&[&busy.origin()], RETRY);
    assert_eq!(World::open_to(&[&busy]).get(&crm, &busy.url("/")).await.unwrap().status(), 503);
    assert_eq!(busy.seen().len(), 1);
}

#[tokio::test]
async fn what_the_operator_allows_at_most_holds_whatever_a_connection_says() {
    let upstream = in_turn(&[503, 503, 200]).await;
    let crm = behaving(&[&upstream.origin()], RETRY);
    let world = |ceilings| {
        World::with(EgressConfig { policy: opened(&[&upstream]), ceilings, ..EgressConfig::default() })
    };
    let few = world(Ceilings { tries: 2, ..Ceilings::default() });
    assert_eq!(few.send(&crm, get(&upstream.url("/"))).await.exchange.info().tries, 2);
    let small = world(Ceilings { request_bytes: 4, ..Ceilings::default() });
    let large = request("PUT", &upstream.url("/"), &[]).map(|_| full_body("hello"));
    let sent = small.send(&crm, large).await;
    assert!(sent.answer.is_err(), "{:?}", sent.answer.map(|answer| answer.status()));
    let silent = Upstream::speaking(async |socket| {
        let _open = socket;
        std::future::pending().await
    })
    .await;
    let ceilings = Ceilings { total: Some(Duration::from_millis(50)), ..Ceilings::default() };
    let config = EgressConfig { policy: opened(&[&silent]), ceilings, ..EgressConfig::default() };
    let patient = behaving(&[&silent.origin()], RETRY);
    let sent = World::with(config).send(&patient, get(&silent.url("/"))).await;
    assert!(matches!(sent.answer, Err(EgressError::Timeout)), "{:?}", sent.answer);
}

#[tokio::test]
async fn a_streamed_body_is_never_begun_again() {
    let upstream = in_turn(&[503, 200]).await;
    let crm = behaving(&[&upstream.origin()], RETRY);
    let pieces = futures::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("hello")))]);
    let request = request("PUT", &upstream.url("/"), &[]).map(|_| streamed_body(StreamBody::new(pieces)));
    let sent = World::open_to(&[&upstream]).send(&crm, request).await;
    assert_eq!(sent.answer.unwrap().status(), 503);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let upstream = Upstream::speaking(move |mut socket| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            read_head(&mut socket).await;
            if !first {
                socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let crm = behaving(&[&upstream.origin()], RETRY);
    assert_eq!(World::open_to(&[&upstream]).get(&crm, &upstream.url("/")).await.unwrap().status(), 204);
}

#[tokio::test]
async fn over_its_rate_a_request_waits_or_is_refused_in_words_that_every_client_knows() {
    let upstream = Upstream::quiet().await;
    let crm = behaving(&[&upstream.origin()], r#"{ "rate": { "requests": 20, "burst": 2 } }"#);
    let world = World::open_to(&[&upstream]);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let sent = world.send(&crm, get(&upstream.url("/"))).await;
        assert_eq!(sent.answer.unwrap().status(), 200);
        waits.push(sent.exchange.info().waited > Duration::from_millis(10));
    }
    assert_eq!(waits, [false, false, true, true]);

    let slow = behaving(&[&upstream.origin()], r#"{ "rate": { "requests": 1, "per-s": 60, "burst": 1 } }"#);
    let fresh = World::open_to(&[&upstream]);
    assert_eq!(fresh.get(&slow, &upstream.url("/")).await.unwrap().status(), 200);
    let before = upstream.seen().len();
    let sent = fresh.send(&slow, get(&upstream.url("/"))).await;
    let info = sent.exchange.info();
    let answer = sent.answer.unwrap();
    assert_eq!((answer.status().as_u16(), info.refused, info.tries), (429, Some(Refusal::Rate), 0));
    assert_eq!(answer.headers()["wharf-refused"], "rate");
    assert_eq!(answer.headers()["retry-after"], "60");
    assert!(info.to_string().ends_with("refused by the host (rate)"), "{info}");
    assert_eq!(upstream.seen().len(), before, "it was not sent");
}

#[tokio::test]
async fn an_outside_system_that_asks_for_patience_gets_it_also_where_retries_are_on() {
    let upstream = Upstream::answering(|_| {
        let answer = Response::builder().status(429).header("retry-after", "60");
        answer.header("wharf-refused", "rate").body(Bytes::new()).unwrap()
    })
    .await;
    let crm = behaving(&[&upstream.origin()], r#"{ "rate": {}, "retry": {} }"#);
    let world = World::open_to(&[&upstream]);
    let theirs = world.get(&crm, &upstream.url("/")).await.unwrap();
    assert!(!theirs.headers().contains_key("wharf-refused"), "only the host says so");
    let ours = world.get(&crm, &upstream.url("/")).await.unwrap();
    assert_eq!(ours.headers()["wharf-refused"], "rate");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn a_breaker_opens_after_failures_in_a_row_for_its_origin_alone_and_closes_after_a_probe() {
    let upstream = in_turn(&[500, 503, 200]).await;
    let other = Upstream::quiet().await;
    let breaker = r#"{ "breaker": { "failures": 2, "open-s": 1 } }"#;
    let crm = behaving(&[&upstream.origin(), &other.origin()], breaker);
    let world = World::open_to(&[&upstream, &other]);
    for _ in 0..2 {
        world.get(&crm, &upstream.url("/")).await.unwrap();
    }
    let sent = world.send(&crm, get(&upstream.url("/"))).await;
    let info = sent.exchange.info();
    assert_eq!((info.refused, info.breaker), (Some(Refusal::Breaker), Some("open")));
    let answer = sent.answer.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(upstream.seen().len(), 2, "it was not sent");
    assert_eq!(world.get(&crm, &other.url("/")).await.unwrap().status(), 200);

    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let probe = world.send(&crm, get(&upstream.url("/"))).await;
    assert_eq!(
        (probe.answer.unwrap().status().as_u16(), probe.exchange.info().breaker),
        (200, Some("half-open"))
    );
    let after = world.send(&crm, get(&upstream.url("/"))).await;
    assert_eq!(after.exchange.info().breaker, Some("closed"));
}

#[tokio::test]
async fn what_a_gate_refuses_opens_no_breaker() {
    let upstream = Upstream::quiet().await;
    let crm = behaving(&[&upstream.origin(), "http://127.0.0.1:1"], r#"{ "breaker": { "failures": 1 } }"#);
    let world = World::open_to(&[&upstream]);
    for _ in 0..3 {
        world.denied(&crm, "http://127.0.0.1:1/").await;
    }
}

#[tokio::test]
async fn a_connections_own_places_bounds_and_timeouts_hold() {
    let silent = Upstream::speaking(|socket| async move {
        let _open = socket;
        std::future::pending().await
    })
    .await;
    let stalling = Upstream::speaking(|mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nstall").await.unwrap();
        std::future::pending().await
    })
    .await;
    let world = World::open_to(&[&silent, &stalling]);
    for (upstream, egress) in [
        (&silent, r#"{ "timeouts": { "first-byte-ms": 30 } }"#),
        (&silent, r#"{ "timeouts": { "total-ms": 30 } }"#),
        (&stalling, r#"{ "timeouts": { "idle-ms": 30 } }"#),
        (&stalling, r#"{ "timeouts": { "total-ms": 30 } }"#),
    ] {
        let crm = behaving(&[&upstream.origin()], egress);
        assert_eq!(world.get(&crm, &upstream.url("/")).await.unwrap_err(), EgressError::Timeout, "{egress}");
    }

    let small = Upstream::answering(|_| Response::new(Bytes::from("eleven byte"))).await;
    let world = World::open_to(&[&small]);
    let crm = behaving(&[&small.origin()], r#"{ "answer-bytes": 10 }"#);
    assert_eq!(world.get(&crm, &small.url("/")).await.unwrap_err(), EgressError::ResponseTooLarge(10));
    let crm = behaving(&[&small.origin()], r#"{ "request-bytes": 10 }"#);
    let request = request("POST", &small.url("/"), &[]).map(|_| full_body("eleven byte"));
    let refused = world.send(&crm, request).await.answer.unwrap_err();
    assert!(refused.to_string().contains("larger than 10 bytes"), "{refused}");
}

#[tokio::test]
async fn one_place_lets_out_one_exchange_at_a_time() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, high) = (Arc::clone(&busy), Arc::clone(&most));
    let upstream = Upstream::speaking(move |mut socket| {
        let (now, high) = (Arc::clone(&now), Arc::clone(&high));
        async move {
            read_head(&mut socket).await;
            high.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.ok();
        }
    })
    .await;
    let crm = behaving(&[&upstream.origin()], r#"{ "concurrency": 1 }"#);
    let world = World::open_to(&[&upstream]);
    let url = upstream.url("/");
    let sent = (0..5).map(|_| world.get(&crm, &url));
    assert!(futures::future::join_all(sent).await.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
