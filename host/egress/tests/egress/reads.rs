//! Reads that share an exchange, and answers that are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host_egress::{EgressError, Sent, Source};
use host_model::resource::{Connection, EgressSpec};
use http::Response;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::support::{Upstream, World, bearer, bringing, get, granted, read_head, request};

fn reading(origin: &str, egress: &str) -> Connection {
    let spec: EgressSpec = serde_json::from_str(egress).unwrap();
    Connection { egress: spec.settings().unwrap(), ..granted(&[origin]) }
}

/// Answers a request for each permit; says how many it has seen.
async fn slow() -> (Upstream, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, counted) = (Arc::clone(&permits), Arc::clone(&asked));
    let upstream = Upstream::speaking(move |mut socket| {
        let (gate, counted) = (Arc::clone(&gate), Arc::clone(&counted));
        async move {
            read_head(&mut socket).await;
            counted.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
            socket.write_all(answer).await.ok();
        }
    })
    .await;
    (upstream, permits, asked)
}

async fn until(asked: &AtomicUsize, want: usize) {
    while asked.load(Ordering::SeqCst) < want {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

const COALESCE: &str = r#"{ "coalesce": true }"#;

fn sources(sent: &[Sent<Bytes>]) -> usize {
    assert!(sent.iter().all(|sent| sent.answer.as_ref().unwrap().body() == "hello"));
    sent.iter().filter(|sent| sent.exchange.info().source == Source::Shared).count()
}

#[tokio::test]
async fn equal_reads_under_way_share_one_exchange_and_others_do_not() {
    let (upstream, permits, asked) = slow().await;
    let crm = Arc::new(reading(&upstream.origin(), COALESCE));
    let world = World::open_to(&[&upstream]);
    let url = upstream.url("/a");
    let equal = futures::future::join_all((0..10).map(|_| world.send(&crm, get(&url))));
    let release = async {
        until(&asked, 1).await;
        permits.add_permits(1);
    };
    let (equal, ()) = tokio::join!(equal, release);
    assert_eq!((sources(&equal), asked.load(Ordering::SeqCst)), (9, 1));
    assert!(equal.iter().any(|sent| sent.exchange.info().to_string().ends_with("coalesced")));

    let mut of_another = reading(&upstream.origin(), COALESCE);
    of_another.tenant = "globex".parse().unwrap();
    let of_another = Arc::new(of_another);
    let mut others = Vec::new();
    for (connection, request) in [
        (&crm, request("GET", &url, &[])),
        (&crm, request("GET", &upstream.url("/b"), &[])),
        (&crm, request("GET", &url, &[("accept", "text/plain")])),
        (&crm, request("HEAD", &url, &[])),
        (&crm, request("POST", &url, &[])),
        (&crm, request("GET", &url, &[("cookie", "a=b")])),
        (&crm, request("GET", &url, &[("range", "bytes=0-1")])),
        (&of_another, request("GET", &url, &[])),
    ] {
        others.push(world.send(connection, request));
    }
    permits.add_permits(others.len());
    let others = futures::future::join_all(others).await;
    assert!(others.iter().all(|sent| sent.exchange.info().source == Source::Outside));
    assert_eq!(asked.load(Ordering::SeqCst), 9);
}

#[tokio::test]
async fn who_gives_up_leaves_the_others_their_answer_and_the_last_one_ends_it() {
    let (upstream, permits, asked) = slow().await;
    let crm = Arc::new(reading(&upstream.origin(), COALESCE));
    let world = World::open_to(&[&upstream]);
    let url = upstream.url("/");
    let first = world.send(&crm, get(&url));
    let waiting = async {
        until(&asked, 1).await;
        let second = world.send(&crm, get(&url));
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            permits.add_permits(1);
        };
        tokio::join!(second, release).0
    };
    // The first one gives up before there is an answer.
    let given_up = tokio::time::timeout(Duration::from_millis(10), first);
    let (given_up, second) = tokio::join!(given_up, waiting);
    assert!(given_up.is_err());
    assert_eq!((second.answer.unwrap().body().as_ref(), asked.load(Ordering::SeqCst)), (&b"hello"[..], 1));

    let alone = tokio::time::timeout(Duration::from_millis(10), world.send(&crm, get(&url))).await;
    assert!(alone.is_err());
    permits.add_permits(2);
    assert_eq!(world.send(&crm, get(&url)).await.exchange.info().source, Source::Outside);
}

fn cacheable(told: &'static str) -> impl Fn(&http::Request<Bytes>) -> Response<Bytes> + Clone {
    move |request| {
        let path = request.uri().path().to_owned();
        Response::builder().header("cache-control", told).body(Bytes::from(path)).unwrap()
    }
}

async fn asked(world: &World, crm: &Arc<Connection>, url: &str) -> Source {
    let sent = world.send(crm, get(url)).await;
    assert_eq!(sent.answer.unwrap().status(), 200);
    sent.exchange.info().source
}

#[tokio::test]
async fn an_answer_that_holds_is_given_again_to_its_connection_alone_and_until_a_write() {
    let upstream = Upstream::answering(cacheable("max-age=60")).await;
    let crm = Arc::new(reading(&upstream.origin(), r#"{ "cache": {} }"#));
    let world = World::open_to(&[&upstream]);
    let url = upstream.url("/a");
    assert_eq!(asked(&world, &crm, &url).await, Source::Outside);
    let again = world.send(&crm, get(&url)).await;
    assert_eq!((again.exchange.info().source, again.exchange.info().tries), (Source::Cache, 0));
    let answer = again.answer.unwrap();
    assert_eq!((answer.body().as_ref(), &answer.headers()["age"]), (&b"/a"[..], &"0".parse().unwrap()));
    assert_eq!(asked(&world, &crm, &upstream.url("/b")).await, Source::Outside);

    let mut other = reading(&upstream.origin(), r#"{ "cache": {} }"#);
    other.tenant = "globex".parse().unwrap();
    assert_eq!(asked(&world, &Arc::new(other), &url).await, Source::Outside);
    let mut other = reading(&upstream.origin(), r#"{ "cache": {} }"#);
    other.name = "crm-2".parse().unwrap();
    assert_eq!(asked(&world, &Arc::new(other), &url).await, Source::Outside);

    assert!(world.send(&crm, request("PUT", &url, &[])).await.answer.is_ok());
    assert_eq!(asked(&world, &crm, &url).await, Source::Outside, "it was changed");
}

#[tokio::test]
async fn a_new_secret_sees_nothing_of_what_was_kept_for_the_old_one_and_none_is_kept() {
    let upstream = Upstream::answering(|request| {
        let echo = format!("{:?}", request.headers().get("authorization"));
        Response::builder().header("cache-control", "max-age=60").body(Bytes::from(echo)).unwrap()
    })
    .await;
    let origin = upstream.origin();
    let crm =
        Arc::new(bringing(reading(&origin, r#"{ "cache": {}, "coalesce": true }"#), bearer(), &[&origin]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", "hunter22").await;
    let url = upstream.url("/");
    assert_eq!(asked(&world, &crm, &url).await, Source::Outside);
    let kept = world.send(&crm, get(&url)).await;
    assert_eq!(kept.exchange.info().source, Source::Cache);
    assert!(!String::from_utf8_lossy(kept.answer.unwrap().body()).contains("hunter22"), "kept as scrubbed");
    let world = world.secret("acme", "key", "hunter23").await;
    assert_eq!(asked(&world, &crm, &url).await, Source::Outside);
    world.vault.delete(&"acme".parse().unwrap(), &"key".parse().unwrap()).await.unwrap();
    assert!(matches!(world.get(&crm, &url).await, Err(EgressError::Denied(_))), "no secret, no answer");
}

#[tokio::test]
async fn what_is_stale_is_revalidated_and_stands_in_when_the_outside_fails() {
    let upstream = Upstream::answering(|request| {
        let known = request.headers().contains_key("if-none-match");
        let answer = Response::builder().header("cache-control", "max-age=0").header("etag", "\"1\"");
        match (request.headers().contains_key("x-fail"), known) {
            (true, _) => answer.status(503).body(Bytes::new()).unwrap(),
            (false, true) => answer.status(304).body(Bytes::new()).unwrap(),
            (false, false) => answer.body(Bytes::from("hello")).unwrap(),
        }
    })
    .await;
    let world = World::open_to(&[&upstream]);
    let url = upstream.url("/");
    for (stale_s, status) in [(0, 503), (60, 200)] {
        let egress = format!(r#"{{ "cache": {{ "stale-if-error-s": {stale_s} }} }}"#);
        let crm = Arc::new(reading(&upstream.origin(), &egress));
        assert_eq!(asked(&world, &crm, &url).await, Source::Outside);
        assert_eq!(asked(&world, &crm, &url).await, Source::Revalidated);
        let failed = world.send(&crm, request("GET", &url, &[("x-fail", "1")])).await;
        let source = if status == 200 { Source::Stale } else { Source::Outside };
        assert_eq!(
            (failed.answer.unwrap().status().as_u16(), failed.exchange.info().source),
            (status, source)
        );
    }
}
