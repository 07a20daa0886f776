//! Redirects: followed where the connection says so, through both gates, and
//! without a credential once they lead to another origin.

use std::sync::Arc;

use bytes::Bytes;
use host_egress::{EgressError, full_body};
use host_model::resource::Connection;
use http::{Method, Response};

use crate::support::{Upstream, World, bearer, bringing, granted, request};

async fn redirecting(status: u16, to: String) -> Upstream {
    Upstream::answering(move |request| match request.uri().path() {
        "/done" => Response::new(Bytes::from("done")),
        _ => Response::builder().status(status).header("location", &to).body(Bytes::new()).unwrap(),
    })
    .await
}

fn following(connection: Connection, redirects: u32) -> Arc<Connection> {
    let mut connection = connection;
    connection.egress.redirects = redirects;
    Arc::new(connection)
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_the_connection_follows_it() {
    let upstream = redirecting(302, "/done".into()).await;
    let world = World::open_to(&[&upstream]);
    let stays = following(granted(&[&upstream.origin()]), 0);
    assert_eq!(world.get(&stays, &upstream.url("/")).await.unwrap().status(), 302);
    let follows = following(granted(&[&upstream.origin()]), 1);
    let sent = world.send(&follows, request("GET", &upstream.url("/"), &[])).await;
    assert_eq!(sent.exchange.info().redirects, 1);
    assert_eq!(sent.answer.unwrap().body(), "done");

    let endless = redirecting(302, "/again".into()).await;
    let world = World::open_to(&[&endless]);
    let follows = following(granted(&[&endless.origin()]), 3);
    assert_eq!(world.get(&follows, &endless.url("/")).await.unwrap().status(), 302);
    assert_eq!(endless.seen().len(), 4, "a loop ends at its bound");
}

#[tokio::test]
async fn every_hop_passes_both_gates() {
    let inside = Upstream::quiet().await;
    let upstream = redirecting(302, inside.url("/admin")).await;
    let origins = [upstream.origin(), inside.origin()];

    // Granted, but the operator opened only the first.
    let follows = following(granted(&[&origins[0], &origins[1]]), 5);
    let why = World::open_to(&[&upstream]).denied(&follows, &upstream.url("/")).await;
    assert!(why.contains("not a public address"), "{why}");
    // Open, but not granted.
    let follows = following(granted(&[&origins[0]]), 5);
    let why = World::open_to(&[&upstream, &inside]).denied(&follows, &upstream.url("/")).await;
    assert!(why.contains(&inside.origin()) && why.contains("manifest does not ask for it"), "{why}");
    assert_eq!(inside.connections(), 0);

    let both = following(granted(&[&origins[0], &origins[1]]), 5);
    assert_eq!(
        World::open_to(&[&upstream, &inside]).get(&both, &upstream.url("/")).await.unwrap().status(),
        200
    );
    assert_eq!(inside.seen().len(), 1);
}

#[tokio::test]
async fn across_origins_go_no_credential_and_nothing_that_says_who_asks() {
    let other = Upstream::quiet().await;
    let upstream = redirecting(307, other.url("/landing")).await;
    let world = World::open_to(&[&upstream, &other]).secret("acme", "key", "hunter22").await;
    // Even where the credential is for both origins.
    let origins = [upstream.origin(), other.origin()];
    let hosts = [origins[0].as_str(), origins[1].as_str()];
    let follows = following(bringing(granted(&hosts), bearer(), &hosts), 2);
    let headers = [("cookie", "a=b"), ("x-api-key", "k"), ("accept", "text/plain"), ("content-type", "a/b")];
    let sent = request("POST", &upstream.url("/"), &headers).map(|_| full_body("hello"));
    assert!(world.send(&follows, sent).await.answer.is_ok());

    assert_eq!(upstream.only().headers()["authorization"], "Bearer hunter22");
    let landed = other.only();
    assert_eq!((landed.method(), landed.body().as_ref()), (&Method::POST, &b"hello"[..]));
    for name in ["authorization", "cookie", "x-api-key"] {
        assert!(!landed.headers().contains_key(name), "{name}");
    }
    assert_eq!(
        (&landed.headers()["accept"], &landed.headers()["content-type"]),
        (&"text/plain".parse().unwrap(), &"a/b".parse().unwrap())
    );
    assert_eq!(landed.headers()["host"], other.address.to_string());
}

#[tokio::test]
async fn within_an_origin_the_credential_goes_along_and_after_a_detour_it_does_not() {
    let upstream = redirecting(302, "/done".into()).await;
    let world = World::open_to(&[&upstream]).secret("acme", "key", "hunter22").await;
    let origin = upstream.origin();
    let follows = following(bringing(granted(&[&origin]), bearer(), &[&origin]), 2);
    assert!(world.get(&follows, &upstream.url("/")).await.is_ok());
    assert!(upstream.seen().iter().all(|request| request.headers()["authorization"] == "Bearer hunter22"));

    let back = upstream.url("/done");
    let detour = redirecting(302, back).await;
    let first = redirecting(302, detour.url("/")).await;
    // There is no way back from another origin into a session of the first.
    let world = World::open_to(&[&upstream, &detour, &first]).secret("acme", "key", "hunter22").await;
    let origins = [first.origin(), detour.origin(), upstream.origin()];
    let hosts: Vec<_> = origins.iter().map(String::as_str).collect();
    let follows = following(bringing(granted(&hosts), bearer(), &hosts), 5);
    assert_eq!(world.get(&follows, &first.url("/")).await.unwrap().body(), "done");
    assert!(!upstream.seen().last().unwrap().headers().contains_key("authorization"));
}

#[tokio::test]
async fn a_post_becomes_a_get_where_the_status_says_so_and_needs_a_grant_as_such() {
    let upstream = redirecting(303, "/done".into()).await;
    let world = World::open_to(&[&upstream]);
    let follows = following(granted(&[&upstream.origin()]), 1);
    let post = || request("POST", &upstream.url("/"), &[("content-type", "a/b")]).map(|_| full_body("hello"));
    assert_eq!(world.send(&follows, post()).await.answer.unwrap().body(), "done");
    let landed = &upstream.seen()[1];
    assert_eq!((landed.method(), landed.body().as_ref()), (&Method::GET, &b""[..]));
    assert!(!landed.headers().contains_key("content-type"));

    let narrow = format!(r#"[{{"origin":"{}","methods":["POST"]}}]"#, upstream.origin());
    let narrow: Vec<_> = serde_json::from_str(&narrow).unwrap();
    let spec = host_model::grants::GrantsSpec { http: narrow.clone(), ..Default::default() };
    let mut connection = granted(&[]);
    connection.grants = host_model::grants::Grants::new(narrow, false, &spec);
    let refused = world.send(&following(connection, 1), post()).await.answer.unwrap_err();
    assert!(matches!(refused, EgressError::Denied(_)), "{refused:?}");
}
