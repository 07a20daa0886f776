//! What only the engine's inside can show: a disk that breaks, groups, and
//! reads of what is not durable yet.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, poll_immediate};
use tempfile::TempDir;
use tokio::task::unconstrained;

use super::*;

/// A store whose writer is not started: the test drives it.
struct Still {
    store: SledStore,
    writer: Writer,
    queue: mpsc::Receiver<Job>,
    breaks: Arc<AtomicBool>,
    _dir: TempDir,
}

fn still() -> Still {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open::open(dir.path()).unwrap();
    let breaks = Arc::new(AtomicBool::new(false));
    opened.disk.breaks = Some(Arc::clone(&breaks));
    let shared = Arc::new(Shared::new(opened.db, opened.ledger.version));
    let (jobs, queue) = mpsc::channel(QUEUE);
    let writer = Writer { shared: Arc::clone(&shared), disk: opened.disk, ledger: opened.ledger };
    let store = SledStore { jobs: Some(jobs), writer: None, shared, _lock: opened.lock };
    Still { store, writer, queue, breaks, _dir: dir }
}

/// The same with its writer at work.
fn breakable() -> (SledStore, Arc<AtomicBool>, TempDir) {
    let Still { mut store, writer, queue, breaks, _dir } = still();
    store.writer = Some(thread::spawn(move || writer.run(queue)));
    (store, breaks, _dir)
}

fn put(key: &'static str, value: &'static str) -> Commit {
    Commit::default().put(key, value)
}

#[tokio::test]
async fn when_an_fsync_fails_everything_is_refused_from_then_on() {
    let (store, breaks, _dir) = breakable();
    store.commit(put("before", "x")).await.unwrap();
    let mut bell = store.watch(b"");
    breaks.store(true, Ordering::SeqCst);

    let failed = store.commit(put("lost", "x")).await;
    assert!(
        matches!(&failed, Err(StoreError::Engine(why)) if why.contains("broken by a test")),
        "{failed:?}"
    );
    breaks.store(false, Ordering::SeqCst); // a disk that works again proves nothing
    assert!(matches!(store.commit(put("after", "x")).await, Err(StoreError::Engine(_))));
    assert!(matches!(store.get(b"before").await, Err(StoreError::Engine(_))));
    assert!(matches!(store.scan(b"", None, 1).await, Err(StoreError::Engine(_))));
    assert!(!bell.rung().await && !store.watch(b"").rung().await, "nobody waits for ever");
    assert_eq!(store.stats().commits, 1);
}

#[tokio::test]
async fn what_waits_together_shares_one_fsync() {
    let Still { store, writer, queue, _dir, .. } = still();
    let waiting = (0..100).map(|n| store.commit(Commit::default().put(format!("{n}"), "x")));
    let mut waiting = Box::pin(join_all(waiting));
    assert!(unconstrained(poll_immediate(&mut waiting)).await.is_none());
    let writer = thread::spawn(move || writer.run(queue));
    let versions: Vec<_> = waiting.await.into_iter().map(Result::unwrap).collect();

    assert_eq!(versions, (1..=100).collect::<Vec<_>>(), "decided in the order in which they came");
    assert_eq!(store.stats(), Stats { commits: 100, fsyncs: 1 });
    drop(store);
    writer.join().unwrap();
}

#[tokio::test]
async fn commits_in_a_group_are_decided_against_those_before_them() {
    let Still { store, writer, queue, _dir, .. } = still();
    let commits = [
        put("key", "made").absent("key"),
        put("key", "made twice").absent("key"),
        put("key", "changed").at("key", 1),
        put("key", "changed twice").at("key", 1),
        Commit::default().at("key", 2).delete("key"),
        put("key", "again").absent("key"),
    ];
    let mut waiting = Box::pin(join_all(commits.map(|commit| store.commit(commit))));
    assert!(unconstrained(poll_immediate(&mut waiting)).await.is_none());
    let writer = thread::spawn(move || writer.run(queue));
    let made: Vec<_> = waiting.await.into_iter().map(|answer| answer.map_err(|_| ())).collect();
    assert_eq!(made, [Ok(1), Err(()), Ok(2), Err(()), Ok(3), Ok(4)]);
    assert_eq!(store.get(b"key").await.unwrap().unwrap().value, "again");
    drop(store);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_read_of_what_is_not_durable_yet_waits_until_it_is() {
    let Still { store, _dir, .. } = still();
    let shared = &store.shared;
    let entry = |version| layout::tree_value(version, b"x");
    for key in ["old", "gone", "here"] {
        shared.db().unwrap().insert(layout::tree_key(key.as_bytes()), entry(1)).unwrap();
    }
    shared.durable(1);
    // A group that is applied and not yet durable: `here` written, `gone` deleted.
    shared.db().unwrap().insert(layout::tree_key(b"here"), entry(2)).unwrap();
    shared.db().unwrap().remove(layout::tree_key(b"gone")).unwrap();
    *shared.in_flight.write() = InFlight { up_to: 3, deleted: [Bytes::from("gone")].into() };

    assert!(store.get(b"old").await.unwrap().is_some(), "what is old is shown at once");
    assert!(store.get(b"never").await.unwrap().is_none(), "what never was is shown at once");
    assert_eq!(store.scan(b"old", None, 9).await.unwrap().len(), 1);
    let mut written = store.get(b"here");
    let mut deleted = store.get(b"gone");
    let mut page = store.scan(b"", None, 9);
    let mut page_of_deleted = store.scan(b"gone", None, 9);
    assert!(poll_immediate(&mut written).await.is_none());
    assert!(poll_immediate(&mut deleted).await.is_none());
    assert!(poll_immediate(&mut page).await.is_none());
    assert!(poll_immediate(&mut page_of_deleted).await.is_none());

    shared.durable(3);
    assert_eq!(written.await.unwrap().unwrap().version, 2);
    assert_eq!(deleted.await.unwrap(), None);
    assert_eq!(page.await.unwrap().len(), 2);
    assert_eq!(page_of_deleted.await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_read_that_waits_is_refused_when_the_disk_breaks() {
    let Still { store, _dir, .. } = still();
    store.shared.db().unwrap().insert(layout::tree_key(b"key"), layout::tree_value(1, b"x")).unwrap();
    let mut read = store.get(b"key");
    assert!(poll_immediate(&mut read).await.is_none());
    store.shared.break_down(Broken::panicked());
    assert!(matches!(read.await, Err(StoreError::Engine(_))));
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let Still { store, writer, queue, _dir, .. } = still();
    let all = QUEUE + 500;
    let mut waiting = Box::pin(join_all((0..all).map(|_| store.commit(put("key", "x")))));
    assert!(unconstrained(poll_immediate(&mut waiting)).await.is_none());
    assert_eq!(queue.len(), QUEUE);
    let writer = thread::spawn(move || writer.run(queue));
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(store.stats().commits, all as u64);
    drop(store);
    writer.join().unwrap();
}

#[tokio::test]
async fn a_commit_whose_caller_went_away_is_made_all_the_same() {
    let (store, _, _dir) = breakable();
    assert!(store.commit(put("left", "x")).now_or_never().is_none());
    store.commit(put("next", "x")).await.unwrap();
    assert!(store.get(b"left").await.unwrap().is_some());
}

#[tokio::test]
async fn pages_of_the_largest_values_stay_in_the_synced_log() {
    let (store, _, dir) = breakable();
    let largest = Bytes::from(vec![7; crate::MAX_VALUE]);
    for n in 0..60_u32 {
        store
            .commit(Commit::default().put((n * 37 % 60).to_be_bytes().to_vec(), largest.clone()))
            .await
            .unwrap();
    }
    let spilled = std::fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(spilled, 0);
}

/// `cargo test -p host-store -- --ignored --nocapture group`
#[test]
#[ignore = "a measurement"]
fn group_commits_a_second() {
    for callers in [1, 16, 64, 256] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SledStore::open(dir.path()).unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let started = std::time::Instant::now();
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for caller in 0..callers {
                let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
                tasks.spawn(async move {
                    for n in 0_u64.. {
                        let key = format!("run/{caller}/{n}");
                        store
                            .commit(Commit::default().absent(key.clone()).put(key, vec![7; 1_000]))
                            .await
                            .unwrap();
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                });
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            stop.store(true, Ordering::Relaxed);
            tasks.join_all().await;
        });
        let stats = store.stats();
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{callers} callers: {:.0} commits/s, {:.1} commits an fsync, {:.2} ms a group",
            stats.commits as f64 / seconds,
            stats.commits as f64 / stats.fsyncs as f64,
            seconds * 1_000.0 / stats.fsyncs as f64,
        );
    }
}
