//! Doorbells.

use std::time::Duration;

use super::{done, put};
use crate::port::{Commit, Doorbell, Store};

/// Far longer than any engine takes; only a broken promise waits for it.
const SILENCE: Duration = Duration::from_secs(10);

async fn rings(bell: &mut Doorbell, why: &str) {
    let rung = tokio::time::timeout(SILENCE, bell.rung()).await;
    assert_eq!(rung.ok(), Some(true), "the bell rings for {why}");
}

pub(super) async fn a_bell_rings_for_every_kind_of_change_again_and_again(store: &dyn Store) {
    let mut bell = store.watch(b"bell/");
    let mut twin = store.watch(b"bell/");
    let mut all = store.watch(b"");
    let mut exact = store.watch(b"bell/a");
    for turn in 0..3 {
        done(store, put("bell/a", format!("{turn}"))).await;
        rings(&mut bell, "a put").await;
        rings(&mut twin, "a put, also for a second listener").await;
        rings(&mut all, "a put anywhere").await;
        rings(&mut exact, "a put of the very key").await;

        done(store, put("elsewhere", "x").delete("bell/a")).await;
        rings(&mut bell, "a delete").await;
        rings(&mut exact, "a delete of the very key").await;

        done(store, put("elsewhere", "y").put("bell/b", "b")).await;
        rings(&mut bell, "one of several changes").await;
    }
    // A bell that somebody gave up does not silence the others.
    drop(twin);
    for name in 0..200 {
        drop(store.watch(format!("bell/{name}").as_bytes()));
    }
    done(store, put("bell/last", "x")).await;
    rings(&mut bell, "a change after others stopped listening").await;
}

pub(super) async fn a_bell_rings_for_a_change_that_came_before_anybody_waited(store: &dyn Store) {
    let mut bell = store.watch(b"early/");
    done(store, put("early/a", "1")).await;
    done(store, put("early/b", "1")).await;
    done(store, Commit::default().delete("early/a")).await;
    rings(&mut bell, "changes since it was hung").await;
}
