//! Answers that echo a credential lose it on the way in.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use host_egress::EgressError;
use host_model::resource::{Connection, CredentialPlace};
use http::Response;

use crate::support::{Upstream, World, bearer, bringing, granted};

const SECRET: &str = "hunter22-secret";

async fn with_credential(upstream: &Upstream) -> (World, Arc<Connection>) {
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]));
    (World::open_to(&[upstream]).secret("acme", "key", SECRET).await, crm)
}

#[tokio::test]
async fn an_echoed_request_comes_back_without_the_credential() {
    let upstream = Upstream::answering(|request| {
        let own = request.headers()["authorization"].clone();
        let body =
            format!("{:?} {} {}", own, hex::encode(SECRET), BASE64_STANDARD.encode(format!("x{SECRET}y")));
        Response::builder().header("x-echo", own).body(Bytes::from(body)).unwrap()
    })
    .await;
    let (world, crm) = with_credential(&upstream).await;
    let answer = world.get(&crm, &upstream.url("/")).await.unwrap();
    assert_eq!(answer.headers()["x-echo"], "Bearer ***");
    assert!(!answer.headers().contains_key("content-length"), "its length is no longer true");
    let body = String::from_utf8(answer.into_body().to_vec()).unwrap();
    assert!(body.starts_with("\"Bearer ***\" *** e"), "{body}");
    assert_eq!(body.matches("***").count(), 3, "{body}");
}

#[tokio::test]
async fn a_basic_credential_is_scrubbed_whole() {
    let upstream = Upstream::answering(|request| {
        Response::new(Bytes::copy_from_slice(request.headers()["authorization"].as_bytes()))
    })
    .await;
    let place = CredentialPlace::Basic("user".to_owned());
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", SECRET).await;
    assert_eq!(world.get(&crm, &upstream.url("/")).await.unwrap().body(), "Basic ***");
}

#[tokio::test]
async fn an_echo_that_is_cut_into_chunks_and_trailers_is_seen() {
    let upstream = Upstream::writing(&[
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n",
        "4\r\nhunt\r\n",
        "6\r\ner22-s\r\n",
        "9\r\necret hun\r\n",
        "3\r\nter\r\n",
        "0\r\nx-late: Bearer hunter22-secret\r\n\r\n",
    ])
    .await;
    let (world, crm) = with_credential(&upstream).await;
    let sent = world.egress.send(&crm, crate::support::get(&upstream.url("/")), crate::support::LIMITS).await;
    let body = http_body_util::BodyExt::collect(sent.answer.unwrap().into_body()).await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-late"], "Bearer ***");
    assert_eq!(body.to_bytes(), "*** hunter");
}

#[tokio::test]
async fn a_compressed_answer_to_a_credential_is_refused_and_others_are_not() {
    let upstream = Upstream::answering(|_| {
        Response::builder().header("content-encoding", "gzip").body(Bytes::from("squeezed")).unwrap()
    })
    .await;
    let (world, crm) = with_credential(&upstream).await;
    match world.get(&crm, &upstream.url("/")).await {
        Err(EgressError::Other(why)) => assert!(why.contains("compressed"), "{why}"),
        other => panic!("{other:?}"),
    }
    let plain = Arc::new(granted(&[&upstream.origin()]));
    let answer = world.get(&plain, &upstream.url("/")).await.unwrap();
    assert_eq!(
        (answer.headers()["content-length"].to_str().unwrap(), &answer.body()[..]),
        ("8", &b"squeezed"[..])
    );
}

#[tokio::test]
async fn a_redirect_that_carries_the_credential_is_scrubbed() {
    let upstream = Upstream::answering(|request| {
        let location = format!("https://elsewhere.example{}", request.uri());
        Response::builder().status(307).header("location", location).body(Bytes::new()).unwrap()
    })
    .await;
    let place = CredentialPlace::Query("k".to_owned());
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", SECRET).await;
    let answer = world.get(&crm, &upstream.url("/p")).await.unwrap();
    assert_eq!(answer.headers()["location"], "https://elsewhere.example/p?k=***");
}
