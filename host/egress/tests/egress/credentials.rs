//! Each credential arrives where it should, and nowhere else.

use std::sync::Arc;

use host_egress::EgressError;
use host_model::resource::CredentialPlace;

use crate::support::{Upstream, World, bearer, bringing, get, granted, request};

const SECRET: &str = "hunter22-&=?";

#[tokio::test]
async fn a_header_credential_arrives_in_place_of_the_guests_own() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", SECRET).await;
    let own =
        [("authorization", "Bearer mine"), ("authorization", "Basic eA=="), ("accept-encoding", "gzip, br")];
    world.send(&crm, request("GET", &upstream.url("/"), &own)).await.answer.unwrap();

    let seen = upstream.only();
    let arrived: Vec<_> = seen.headers().get_all("authorization").iter().collect();
    assert_eq!(arrived, [&*format!("Bearer {SECRET}")]);
    assert_eq!(seen.headers()["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_query_credential_arrives_in_place_of_the_guests_own() {
    let upstream = Upstream::quiet().await;
    let place = CredentialPlace::Query("api_key".to_owned());
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", SECRET).await;
    world.get(&crm, &upstream.url("/p?api_key=mine&a=b&api%5Fkey=mine")).await.unwrap();
    assert_eq!(upstream.only().uri(), "/p?a=b&api_key=hunter22-%26%3D%3F");
}

#[tokio::test]
async fn a_basic_credential_arrives() {
    let upstream = Upstream::quiet().await;
    let place = CredentialPlace::Basic("Aladdin".to_owned());
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", "open sesame").await;
    world.get(&crm, &upstream.url("/")).await.unwrap();
    assert_eq!(upstream.only().headers()["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617");
}

#[tokio::test]
async fn a_credential_never_goes_to_another_granted_origin() {
    let (its, other) = (Upstream::quiet().await, Upstream::quiet().await);
    let crm = bringing(granted(&[&its.origin(), &other.origin()]), bearer(), &[&its.origin()]);
    let crm = Arc::new(bringing(crm, CredentialPlace::Query("k".to_owned()), &[&its.origin()]));
    let world = World::open_to(&[&its, &other]).secret("acme", "key", SECRET).await;

    world.get(&crm, &its.url("/")).await.unwrap();
    let own =
        request("GET", &other.url("/?k=mine"), &[("authorization", "mine"), ("accept-encoding", "gzip")]);
    world.send(&crm, own).await.answer.unwrap();

    assert!(format!("{:?}", its.only().headers()["authorization"]).contains("hunter22"));
    let seen = other.only();
    assert_eq!(seen.headers()["authorization"], "mine", "what is the guest's stays the guest's");
    assert_eq!(seen.headers()["accept-encoding"], "gzip");
    assert_eq!(seen.uri(), "/?k=mine");
    assert!(!format!("{seen:?}").contains("hunter22"));
}

#[tokio::test]
async fn a_credential_whose_hosts_are_not_granted_goes_nowhere() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(bringing(granted(&[]), bearer(), &[&upstream.origin()]));
    let world = World::open_to(&[&upstream]).secret("acme", "key", SECRET).await;
    world.denied(&crm, &upstream.url("/")).await;
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn each_tenant_brings_its_own_secret() {
    let upstream = Upstream::quiet().await;
    let crm = bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]);
    let mut theirs = crm.clone();
    theirs.tenant = "other".parse().unwrap();
    let world = World::open_to(&[&upstream]).secret("acme", "key", "acmes-own").await;

    let why = world.denied(&Arc::new(theirs.clone()), &upstream.url("/")).await;
    assert!(why.contains("`wharf secret set key`"), "{why}");
    assert_eq!(upstream.connections(), 0, "nothing is sent without it");

    let world = world.secret("other", "key", "others-own").await;
    world.get(&Arc::new(crm), &upstream.url("/")).await.unwrap();
    world.get(&Arc::new(theirs), &upstream.url("/")).await.unwrap();
    let arrived: Vec<_> =
        upstream.seen().iter().map(|seen| seen.headers()["authorization"].clone()).collect();
    assert_eq!(arrived, ["Bearer acmes-own", "Bearer others-own"]);
}

#[tokio::test]
async fn a_replaced_or_deleted_secret_holds_from_the_next_request_on() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]));
    let mut world = World::open_to(&[&upstream]);
    for value in ["first-value", "second-value"] {
        world = world.secret("acme", "key", value).await;
        world.get(&crm, &upstream.url("/")).await.unwrap();
        let arrived = upstream.seen().pop().unwrap().headers()["authorization"].clone();
        assert_eq!(arrived, format!("Bearer {value}"));
    }
    world.vault.delete(&crm.tenant, &"key".parse().unwrap()).await.unwrap();
    world.denied(&crm, &upstream.url("/")).await;
}

#[tokio::test]
async fn a_secret_that_a_request_cannot_carry_is_refused_by_name() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(bringing(granted(&[&upstream.origin()]), bearer(), &[&upstream.origin()]));
    for (value, want) in
        [("hunter22\n".to_owned(), "control characters"), ("hunter22".repeat(1_000), "8000 bytes")]
    {
        let world = World::open_to(&[&upstream]).secret("acme", "key", &value).await;
        let why = world.denied(&crm, &upstream.url("/")).await;
        assert!(why.contains(want) && why.contains("`key`") && !why.contains("hunter22"), "{why}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn no_failure_and_no_record_carries_a_credential() {
    let dead = Upstream::speaking(|socket| async move { drop(socket) }).await;
    let nonsense = Upstream::writing(&["hunter22-secret HTTP?\r\n\r\n"]).await;
    let world = World::open_to(&[&dead, &nonsense]).secret("acme", "key", "hunter22-secret").await;
    for upstream in [&dead, &nonsense] {
        for place in [bearer(), CredentialPlace::Query("k".into()), CredentialPlace::Basic("u".into())] {
            let crm = Arc::new(bringing(granted(&[&upstream.origin()]), place, &[&upstream.origin()]));
            let sent = world.send(&crm, get(&upstream.url("/path?q=1"))).await;
            assert!(matches!(sent.answer, Err(EgressError::ConnectionFailed(_))), "{:?}", sent.answer);
            let told = format!("{sent:?} {:?} {}", sent.exchange.info(), sent.answer.as_ref().unwrap_err());
            assert!(!told.contains("hunter22") && !told.contains("aHVudGVy"), "{told}");
            assert!(told.contains("/path") && !told.contains("q=1"), "{told}");
        }
    }
}
