//! Credentials that sign a request, or the handshake, and never leave.

use std::sync::Arc;

use bytes::Bytes;
use host_egress::{EgressConfig, EgressError, full_body};
use host_model::resource::{Connection, CredentialPlace};
use http::Response;
use ring::hmac;

use crate::support::{Upstream, World, bringing, get, granted, request};

const KEY: &str = "hunter22-signing-key";

fn hmac_place(toml: &str) -> CredentialPlace {
    CredentialPlace::Hmac(Arc::new(toml::from_str(toml).unwrap()))
}

fn with(upstream: &Upstream, place: CredentialPlace) -> Arc<Connection> {
    Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]))
}

#[tokio::test]
async fn a_bearer_credential_arrives_and_goes_nowhere_else() {
    let (its, other) = (Upstream::quiet().await, Upstream::quiet().await);
    let crm = bringing(granted(&[&its.origin(), &other.origin()]), CredentialPlace::Bearer, &[&its.origin()]);
    let (crm, world) = (Arc::new(crm), World::open_to(&[&its, &other]).secret("acme", "key", KEY).await);
    for upstream in [&its, &other] {
        world.get(&crm, &upstream.url("/")).await.unwrap();
    }
    assert_eq!(its.only().headers()["authorization"], format!("Bearer {KEY}").as_str());
    assert!(!other.only().headers().contains_key("authorization"));
}

#[tokio::test]
async fn a_request_is_signed_as_it_arrives_and_the_key_stays() {
    let upstream = Upstream::answering(|request| {
        Response::new(Bytes::copy_from_slice(request.headers()["x-signature"].as_bytes()))
    })
    .await;
    let crm = with(
        &upstream,
        hmac_place(
            "message = '{timestamp}.{method}.{path}.{query}.{body}'\nheader = 'x-signature'\nprefix = 'v1='\n\
             timestamp-header = 'x-time'",
        ),
    );
    let world = World::open_to(&[&upstream]).secret("acme", "key", KEY).await;
    let mut sent = request("POST", &upstream.url("/a?b=c"), &[("x-signature", "mine"), ("x-time", "0")]);
    *sent.body_mut() = full_body("hello");
    let answer = world.send(&crm, sent).await.answer.unwrap();

    let seen = upstream.only();
    let signed = format!("{}.POST./a.b=c.hello", seen.headers()["x-time"].to_str().unwrap());
    let want = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), signed.as_bytes());
    assert_eq!(seen.headers()["x-signature"], format!("v1={}", hex::encode(want)).as_str());
    assert_eq!((seen.headers()["content-length"].to_str().unwrap(), &seen.body()[..]), ("5", &b"hello"[..]));
    assert!(!format!("{seen:?}").contains(KEY));
    assert_eq!(answer.body(), "v1=***", "whoever has the signature can send the request again");
}

#[tokio::test]
async fn a_signed_body_is_read_whole_up_to_the_calls_bound() {
    let upstream = Upstream::quiet().await;
    let crm = with(&upstream, hmac_place("message = '{body-hash}'\nheader = 'x-signature'"));
    let world = World::open_to(&[&upstream]).secret("acme", "key", KEY).await;
    let mut sent = request("POST", &upstream.url("/"), &[]);
    *sent.body_mut() = full_body(vec![b'x'; (1 << 20) + 1]);
    match world.send(&crm, sent).await.answer {
        Err(EgressError::InvalidRequest(why)) => assert!(why.contains("is signed and larger"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_request_to_aws_is_signed_and_to_another_origin_it_is_not() {
    let (its, other) = (Upstream::quiet().await, Upstream::quiet().await);
    let place = CredentialPlace::Aws {
        region: "eu-central-1".to_owned(),
        service: "execute-api".to_owned(),
        unsigned_payload: false,
    };
    let crm = bringing(granted(&[&its.origin(), &other.origin()]), place, &[&its.origin()]);
    let (crm, world) = (
        Arc::new(crm),
        World::open_to(&[&its, &other]).secret("acme", "key", "AKIDEXAMPLE:secret-hunter22").await,
    );
    for upstream in [&its, &other] {
        world.get(&crm, &upstream.url("/a%20b?z=1&a=2")).await.unwrap();
    }
    let seen = its.only();
    let signature = seen.headers()["authorization"].to_str().unwrap();
    assert!(
        signature.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-central-1/execute-api/aws4_request"
        ),
        "{signature}"
    );
    assert_eq!(
        (seen.uri().to_string().as_str(), &seen.headers()["x-amz-date"]),
        ("/a%20b?z=1&a=2", &"20261121T120000Z".parse().unwrap())
    );
    assert!(!format!("{seen:?}").contains("hunter22"));
    let unsigned = other.only();
    assert!(
        !unsigned.headers().contains_key("authorization") && !unsigned.headers().contains_key("x-amz-date")
    );
}

#[tokio::test]
async fn a_client_certificate_over_plain_http_is_refused() {
    let upstream = Upstream::quiet().await;
    let crm = with(&upstream, CredentialPlace::ClientCertificate);
    let world = World::open_to(&[&upstream]).secret("acme", "key", "not even PEM").await;
    let why = world.denied(&crm, &upstream.url("/")).await;
    assert!(why.contains("must be `https`"), "{why}");
}

#[tokio::test]
async fn a_secret_that_is_no_certificate_is_named_and_not_shown() {
    let world = World::with(EgressConfig::default()).secret("acme", "key", KEY).await;
    let crm =
        bringing(granted(&["https://a.example"]), CredentialPlace::ClientCertificate, &["https://a.example"]);
    let answer = world.send(&Arc::new(crm), get("https://a.example/")).await.answer;
    let why = answer.unwrap_err().to_string();
    assert!(why.contains("`key`") && why.contains("CERTIFICATE") && !why.contains(KEY), "{why}");
}
