//! Sockets are kept, and kept apart.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Upstream, World, granted};

#[tokio::test]
async fn one_connection_keeps_its_socket() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    for _ in 0..5 {
        world.get(&crm, &upstream.url("/")).await.unwrap();
    }
    assert_eq!((upstream.connections(), upstream.seen().len()), (1, 5));
}

#[tokio::test]
async fn two_connections_or_two_tenants_never_share_a_socket() {
    let upstream = Upstream::quiet().await;
    let world = World::open_to(&[&upstream]);
    let crm = granted(&[&upstream.origin()]);
    let (mut second, mut theirs) = (crm.clone(), crm.clone());
    second.name = "crm-2".parse().unwrap();
    theirs.tenant = "other".parse().unwrap();
    let all = [Arc::new(crm), Arc::new(second), Arc::new(theirs)];
    for _ in 0..2 {
        for connection in &all {
            world.get(connection, &upstream.url("/")).await.unwrap();
        }
    }
    assert_eq!((upstream.connections(), upstream.seen().len()), (3, 6));
}

#[tokio::test]
async fn draining_lets_go_of_idle_sockets() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    world.get(&crm, &upstream.url("/")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), world.egress.drain()).await.expect("nothing is under way");
}
