//! Many callers at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinSet, yield_now};

use crate::port::{Commit, Entry, Store, StoreError, Version};

const CALLERS: usize = 64;
const INCREMENTS: u64 = 4;
/// Fewer counters than callers, so that they conflict; more than one, so that
/// a group of commits mixes winners and losers.
const COUNTERS: usize = 8;

fn number(entry: Option<&Entry>) -> u64 {
    entry.map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap())
}

/// Adds one to a counter, however often others come between.
async fn increment(store: &dyn Store, counter: &Bytes) -> Version {
    loop {
        let entry = store.get(counter).await.unwrap();
        yield_now().await;
        let next = Commit::default().put(counter.clone(), (number(entry.as_ref()) + 1).to_string());
        let commit = match entry {
            Some(entry) => next.at(counter.clone(), entry.version),
            None => next.absent(counter.clone()),
        };
        match store.commit(commit).await {
            Ok(version) => return version,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("an increment failed: {error}"),
        }
    }
}

pub(super) async fn counters_that_many_increment_sum_up(store: &Arc<dyn Store>) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(store);
        let counter = Bytes::from(format!("counter/{}", caller % COUNTERS));
        callers.spawn(async move {
            let mut versions = Vec::new();
            for _ in 0..INCREMENTS {
                versions.push(increment(&*store, &counter).await);
            }
            versions
        });
    }
    let mut versions = BTreeSet::new();
    for own in callers.join_all().await {
        assert!(own.is_sorted(), "the commits of one caller are in its order");
        versions.extend(own);
    }
    let all = CALLERS as u64 * INCREMENTS;
    assert_eq!(versions.len() as u64, all, "no two commits have the same version");
    let counters = store.scan(b"counter/", None, COUNTERS + 1).await.unwrap();
    let sum: u64 = counters.iter().map(|entry| number(Some(entry))).sum();
    assert_eq!(sum, all, "no increment is lost or made twice");
}

pub(super) async fn one_of_many_creators_wins(store: &Arc<dyn Store>) {
    let mut creators = JoinSet::new();
    for creator in 0..CALLERS {
        let store = Arc::clone(store);
        creators.spawn(async move {
            let name = creator.to_string();
            let commit = Commit::default().absent("created").put("created", name.clone());
            match store.commit(commit).await {
                Ok(version) => Some((name, version)),
                Err(StoreError::Conflict) => None,
                Err(error) => panic!("a creation failed: {error}"),
            }
        });
    }
    let winners: Vec<_> = creators.join_all().await.into_iter().flatten().collect();
    let entry = store.get(b"created").await.unwrap().expect("somebody created it");
    assert_eq!(
        winners,
        [(String::from_utf8_lossy(&entry.value).into_owned(), entry.version)],
        "one creator wins"
    );
}

pub(super) async fn whoever_sees_one_key_of_a_commit_sees_the_others(store: &Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    let writer = Arc::clone(store);
    tasks.spawn(async move {
        for round in 1..=100_u64 {
            let pair = Commit::default().put("pair/a", round.to_string()).put("pair/b", round.to_string());
            writer.commit(pair).await.unwrap();
            yield_now().await;
        }
    });
    for (one, other) in [("pair/a", "pair/b"), ("pair/b", "pair/a")] {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let mut seen = 0;
            while seen < 100 {
                let first = number(store.get(one.as_bytes()).await.unwrap().as_ref());
                let second = number(store.get(other.as_bytes()).await.unwrap().as_ref());
                assert!(first >= seen, "what was seen stays");
                assert!(second >= first, "a commit is seen wholly");
                seen = second;
                yield_now().await;
            }
        });
    }
    tasks.join_all().await;
}
