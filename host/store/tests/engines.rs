//! Every engine keeps the contract, and all answer alike.

#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use host_store::contract::{keeps_the_store_contract, keeps_what_it_promised_after_reopen};
use host_store::port::MAX_PAGE;
use host_store::{Commit, Entry, MemoryStore, Require, SledStore, Store, StoreError, Version};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn sled_in(dir: &Path) -> Arc<dyn Store> {
    Arc::new(SledStore::open(dir).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    keeps_the_store_contract(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sled_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    keeps_the_store_contract(sled_in(dir.path())).await;
}

#[tokio::test]
async fn sled_keeps_what_it_promised_after_reopen() {
    let dir = tempfile::tempdir().unwrap();
    keeps_what_it_promised_after_reopen(|| sled_in(dir.path())).await;
}

#[tokio::test]
#[should_panic(expected = "every entry is as it was")]
async fn the_reopen_contract_notices_an_engine_that_forgets() {
    keeps_what_it_promised_after_reopen(|| Arc::new(MemoryStore::new())).await;
}

/// One step of a made-up history.
#[derive(Clone, Debug)]
enum Step {
    Get(Bytes),
    Scan(Bytes, Option<Bytes>, usize),
    Commit(Vec<Wish>, Vec<(Bytes, Bytes)>, Vec<Bytes>),
    Reopen,
}

/// A requirement, its version taken from what the key has when it is reached.
#[derive(Clone, Debug)]
enum Wish {
    Absent(Bytes),
    Current(Bytes),
    Older(Bytes),
}

fn key() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![Just(0), Just(1), Just(b'a'), Just(0xff)];
    prop::collection::vec(byte, 0..4).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    // Now and then so large that sled's pages split, merge and move.
    prop_oneof![4 => 0..20_usize, 1 => 8_000..9_000_usize].prop_map(|length| vec![7; length].into())
}

fn step() -> impl Strategy<Value = Step> {
    let wish = prop_oneof![
        1 => key().prop_map(Wish::Absent),
        3 => key().prop_map(Wish::Current),
        1 => key().prop_map(Wish::Older)
    ];
    prop_oneof![
        10 => key().prop_map(Step::Get),
        10 => (key(), prop::option::of(key()), 0..50_usize).prop_map(|(p, a, l)| Step::Scan(p, a, l)),
        30 => (
            prop::collection::vec(wish, 0..2),
            prop::collection::vec((key(), value()), 0..6),
            prop::collection::vec(key(), 0..4),
        )
            .prop_map(|(require, put, delete)| Step::Commit(require, put, delete)),
        1 => Just(Step::Reopen),
    ]
}

/// What a step answers, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Answer {
    Entry(Option<Entry>),
    Page(Vec<Entry>),
    Committed(Version),
    Conflict,
}

async fn answer(store: &dyn Store, step: &Step) -> Answer {
    match step {
        Step::Get(key) => Answer::Entry(store.get(key).await.unwrap()),
        Step::Scan(prefix, after, limit) => {
            Answer::Page(store.scan(prefix, after.as_deref(), *limit).await.unwrap())
        }
        Step::Commit(wishes, put, delete) => {
            let mut require = Vec::new();
            for wish in wishes {
                require.push(match wish {
                    Wish::Absent(key) => Require::Absent(key.clone()),
                    Wish::Current(key) | Wish::Older(key) => {
                        let version = store.get(key).await.unwrap().map_or(1, |entry| entry.version);
                        let older = u64::from(matches!(wish, Wish::Older(_)));
                        Require::At(key.clone(), version - older)
                    }
                });
            }
            match store
                .commit(Commit { require, put: put.clone(), delete: delete.clone(), ..Commit::default() })
                .await
            {
                Ok(version) => Answer::Committed(version),
                Err(StoreError::Conflict) => Answer::Conflict,
                Err(error) => panic!("{error}"),
            }
        }
        Step::Reopen => Answer::Page(store.scan(b"", None, MAX_PAGE).await.unwrap()),
    }
}

#[test]
fn memory_and_sled_answer_any_history_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&prop::collection::vec(step(), 1..80), |history| {
            let dir = tempfile::tempdir().unwrap();
            let memory = MemoryStore::new();
            let mut sled = sled_in(dir.path());
            for step in &history {
                if matches!(step, Step::Reopen) {
                    drop(sled);
                    sled = sled_in(dir.path());
                }
                let one = runtime.block_on(answer(&memory, step));
                prop_assert_eq!(one, runtime.block_on(answer(&*sled, step)), "at {:?}", step);
            }
            Ok(())
        })
        .unwrap();
}
