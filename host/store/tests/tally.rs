//! How much there is of whose: counted with each commit, the same as a look at
//! every entry finds, also after the store was opened again.

#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::collections::BTreeMap;

use bytes::Bytes;
use host_model::name::TenantId;
use host_store::key::{self, RUN_PENDING};
use host_store::{Commit, SledStore, Store, Tally};

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// What a look at every entry under a prefix finds.
async fn looked_at(store: &SledStore, prefix: &Bytes) -> Tally {
    let found = store.scan(prefix, None, usize::MAX).await.unwrap();
    let bytes = found.iter().map(|entry| (entry.key.len() + entry.value.len()) as u64).sum();
    Tally { entries: found.len() as u64, bytes }
}

#[tokio::test]
async fn what_is_counted_is_what_is_there_through_overwrites_deletions_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::open(dir.path()).unwrap();
    let whose = [tenant("acme"), tenant("acme-2"), tenant("bolt")];
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..6 {
        for _ in 0..50 {
            let mut commit = Commit::default();
            let mut touched = BTreeMap::new();
            for _ in 0..4 {
                let owner = &whose[random(3) as usize];
                let name = random(12).to_string();
                let key: Bytes = if random(4) == 0 {
                    key::host().kind(RUN_PENDING).name(owner.as_str()).bytes(name.as_bytes()).into()
                } else {
                    key::tenant(owner).kind("thing").name(&name).into()
                };
                touched.insert(key, random(3));
            }
            for (key, what) in touched {
                commit = match what {
                    0 => commit.delete(key),
                    _ => commit.put(key, vec![b'x'; random(2_000) as usize]),
                };
            }
            store.commit(commit).await.unwrap();
        }
        if round % 2 == 1 {
            drop(store);
            store = SledStore::open(dir.path()).unwrap();
        }
        for owner in &whose {
            let pending = key::host().kind(RUN_PENDING).name(owner.as_str()).prefix();
            for prefix in [key::tenant(owner).prefix(), pending] {
                assert_eq!(
                    store.tally(&prefix),
                    looked_at(&store, &prefix).await,
                    "round {round}, {prefix:?}"
                );
            }
        }
    }
    assert!(store.tally(&key::tenant(&whose[0]).prefix()).bytes > 1_000);
}

#[tokio::test]
async fn what_was_refused_or_is_another_owners_is_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let acme = tenant("acme");
    let thing = key::tenant(&acme).kind("thing").name("a");
    let put = Commit::default().absent(thing.clone()).put(thing.clone(), "four");
    store.commit(put.clone()).await.unwrap();
    assert!(store.commit(put).await.is_err());
    store.commit(Commit::default().put(key::host().kind("token").bytes(&[1]), "x")).await.unwrap();
    let bytes = (thing.len() + 4) as u64;
    assert_eq!(store.tally(&key::tenant(&acme).prefix()), Tally { entries: 1, bytes });
    assert_eq!(store.tally(&key::host().prefix()), Tally::default());
}
