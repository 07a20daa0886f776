//! What only the engine's inside can show: a disk that breaks, groups, and
//! reads of what is not durable yet.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, poll_immediate};
use tempfile::TempDir;
use tokio::task::unconstrained;

use super::*;

/// A store whose threads are not started: the test does that.
struct Still {
    store: SledStore,
    parts: Parts,
    breaks: Arc<AtomicBool>,
    dir: TempDir,
}

fn still() -> Still {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open::open(dir.path()).unwrap();
    let breaks = Arc::new(AtomicBool::new(false));
    opened.log.breaks = Some(Arc::clone(&breaks));
    let (store, parts) = SledStore::assemble(opened);
    Still { store, parts, breaks, dir }
}

/// The same with its threads at work.
fn breakable() -> (SledStore, Arc<AtomicBool>, TempDir) {
    let Still { mut store, parts, breaks, dir } = still();
    store.threads = parts.start().unwrap();
    (store, breaks, dir)
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
    let Still { mut store, parts, dir: _dir, .. } = still();
    let waiting = (0..100).map(|n| store.commit(Commit::default().put(format!("{n}"), "x")));
    let mut waiting = Box::pin(join_all(waiting));
    assert!(unconstrained(poll_immediate(&mut waiting)).await.is_none());
    let threads = parts.start().unwrap();
    let versions: Vec<_> = waiting.await.into_iter().map(Result::unwrap).collect();

    assert_eq!(versions, (1..=100).collect::<Vec<_>>(), "decided in the order in which they came");
    assert_eq!(store.stats(), Stats { commits: 100, fsyncs: 1 });
    store.threads = threads;
}

#[tokio::test]
async fn commits_in_a_group_are_decided_against_those_before_them() {
    let Still { mut store, parts, dir: _dir, .. } = still();
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
    let threads = parts.start().unwrap();
    let made: Vec<_> = waiting.await.into_iter().map(|answer| answer.map_err(|_| ())).collect();
    assert_eq!(made, [Ok(1), Err(()), Ok(2), Err(()), Ok(3), Ok(4)]);
    assert_eq!(store.get(b"key").await.unwrap().unwrap().value, "again");
    store.threads = threads;
}

#[tokio::test]
async fn what_could_not_be_made_durable_was_never_shown() {
    let (store, breaks, _dir) = breakable();
    store.commit(put("key", "old")).await.unwrap();
    {
        let reader = store.shared.recent.read(); // whoever would show the next commit waits for this
        assert!(store.commit(put("key", "new")).now_or_never().is_none());
        while store.shared.fsyncs.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
        assert_eq!(reader.get(b"key").unwrap().1.value.as_deref(), Some(&b"old"[..]));
    }
    breaks.store(true, Ordering::SeqCst);
    store.commit(put("key", "newest")).await.unwrap_err();
    assert_eq!(store.shared.recent.read().get(b"key").unwrap().1.value.as_deref(), Some(&b"new"[..]));
}

/// A copy of the files as they are now: what a kill would leave.
fn killed(dir: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("blobs")).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn what_came_and_went_between_two_generations_leaves_nothing_behind() {
    let (store, _, _dir) = breakable();
    for n in 0..100_u32 {
        let key = n.to_be_bytes().to_vec();
        store.commit(Commit::default().put(key.clone(), "x")).await.unwrap();
        store.commit(Commit::default().delete(key)).await.unwrap();
    }
    assert!(store.shared.recent.read().newest.is_empty());
}

/// Fills several generations, with overwritten, deleted and remade keys.
async fn fill_generations(store: &SledStore) -> Page {
    let large = Bytes::from(vec![7; crate::MAX_VALUE]);
    for n in 0..600_u32 {
        let key = |n: u32| format!("key/{:03}", n % 200);
        let commit = Commit::default().put(key(n * 7), large.clone()).put(key(n * 7 + 1), n.to_string());
        store.commit(commit.delete(key(n * 3 + 50))).await.unwrap();
    }
    store.scan(b"", None, MAX_PAGE).await.unwrap()
}

#[tokio::test]
async fn a_kill_at_any_point_of_a_move_into_the_tree_loses_nothing() {
    let Still { mut store, parts, dir, .. } = still();
    // The mover is held up: generations are in the log, and at most partly in the tree.
    let Parts { writer, queue, mut disk, to_move, done } = parts;
    store.threads.push(thread::spawn(move || writer.run(queue)));
    let held = fill_generations(&store).await;
    let generation = to_move.recv().unwrap();
    assert!(store.shared.recent.read().moving.len() > 100);
    for (count, (key, change)) in generation.changes.iter().enumerate() {
        if count % 60 == 0 {
            store.shared.db().unwrap().flush().unwrap();
            let again = SledStore::open(killed(&dir).path()).unwrap();
            assert_eq!(again.scan(b"", None, MAX_PAGE).await.unwrap(), held);
        }
        let tree = layout::tree_key(key);
        match &change.value {
            Some(value) => store.shared.db().unwrap().insert(tree, layout::tree_value(change.version, value)),
            None => store.shared.db().unwrap().remove(tree),
        }
        .unwrap();
        assert_eq!(store.scan(b"", None, MAX_PAGE).await.unwrap().len(), held.len(), "nobody sees the move");
    }
    mover::move_into(store.shared.db().unwrap(), &mut disk, &generation).unwrap();
    let again = SledStore::open(killed(&dir).path()).unwrap();
    assert_eq!(again.scan(b"", None, MAX_PAGE).await.unwrap(), held);
    drop(again);

    store.shared.recent.write().moving = Arc::default();
    done.send(()).unwrap();
    assert_eq!(store.scan(b"", None, MAX_PAGE).await.unwrap(), held);
    let shared = Arc::clone(&store.shared);
    store.threads.push(thread::spawn(move || mover::run(&shared, disk, &to_move, &done)));
    fill_generations(&store).await;
    let held = store.scan(b"", None, MAX_PAGE).await.unwrap();
    drop(store);
    assert_eq!(SledStore::open(dir.path()).unwrap().scan(b"", None, MAX_PAGE).await.unwrap(), held);
}

#[tokio::test]
async fn wherever_the_log_is_overwritten_the_store_is_refused_or_whole() {
    let (store, _, dir) = breakable();
    for n in 0..50_u32 {
        store.commit(Commit::default().put(format!("key/{n}"), vec![7; 500])).await.unwrap();
    }
    let held = store.scan(b"", None, MAX_PAGE).await.unwrap();
    let mut refused = 0;
    for at in (0..40_000).step_by(641) {
        let copy = killed(&dir);
        let log = File::options().write(true).open(copy.path().join("log.0")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&log, &[0x5a; 9], at).unwrap();
        match SledStore::open(copy.path()) {
            Ok(again) => assert_eq!(again.scan(b"", None, MAX_PAGE).await.unwrap(), held, "at {at}"),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("at {at}: {other}"),
        }
    }
    assert!((40..60).contains(&refused), "{refused}: some 28,000 bytes are the log's, the rest is unused");
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let Still { mut store, parts, dir: _dir, .. } = still();
    let all = QUEUE + 500;
    let mut waiting = Box::pin(join_all((0..all).map(|_| store.commit(put("key", "x")))));
    assert!(unconstrained(poll_immediate(&mut waiting)).await.is_none());
    assert_eq!(parts.queue.len(), QUEUE);
    let threads = parts.start().unwrap();
    assert!(waiting.await.iter().all(Result::is_ok));
    assert_eq!(store.stats().commits, all as u64);
    store.threads = threads;
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
    drop(store); // moves them into the tree
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
