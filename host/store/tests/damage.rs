//! A store that is not whole is refused with advice; it never opens with less
//! than was acknowledged.

#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::cell::Cell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use host_store::port::MAX_PAGE;
use host_store::{Commit, OpenError, Page, SledStore, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Closes a store with some history in `dir`; gives what it held.
async fn filled(dir: &Path) -> Page {
    let store = SledStore::open(dir).unwrap();
    for n in 0..300_u32 {
        let value = Bytes::from(vec![b'v'; (n as usize * 37) % 3_000]);
        let commit = Commit::default().put(format!("key/{:03}", n * 7 % 200), value);
        store.commit(commit.delete(format!("key/{:03}", n * 3 % 200))).await.unwrap();
    }
    store.scan(b"", None, MAX_PAGE).await.unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

fn refused(dir: &Path) -> OpenError {
    match SledStore::open(dir) {
        Ok(_) => panic!("a damaged store was opened"),
        Err(error) => error,
    }
}

fn snapshot(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).unwrap()
}

#[tokio::test]
async fn what_is_lost_or_overwritten_is_named_with_what_to_do() {
    let whole = tempfile::tempdir().unwrap();
    filled(whole.path()).await;
    drop(SledStore::open(whole.path()).unwrap()); // leaves a snapshot

    type Damage = fn(&Path);
    let damages: [(&str, Damage); 8] = [
        ("garbage instead of the log", |dir| fs::write(dir.join("db"), [0x5a; 700_000]).unwrap()),
        ("an empty log", |dir| fs::write(dir.join("db"), b"").unwrap()),
        ("no log", |dir| fs::remove_file(dir.join("db")).unwrap()),
        ("garbage in the snapshot", |dir| fs::write(snapshot(dir), [0x5a; 2_000]).unwrap()),
        ("a cut snapshot", |dir| fs::write(snapshot(dir), b"short").unwrap()),
        ("garbage in sled's settings", |dir| fs::write(dir.join("conf"), [0x5a; 100]).unwrap()),
        ("no note", |dir| fs::remove_file(dir.join("acknowledged")).unwrap()),
        ("garbage in the note", |dir| fs::write(dir.join("acknowledged"), [0x5a; 16]).unwrap()),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        damage(dir.path());
        let error = refused(dir.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error:?}");
        let message = error.to_string();
        assert!(message.contains("`wharf doctor`") && message.contains(&*dir.path().to_string_lossy()));
    }
}

#[tokio::test]
async fn a_store_that_went_back_in_time_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let earlier = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    copy(dir.path(), earlier.path());
    let store = SledStore::open(dir.path()).unwrap();
    store.commit(Commit::default().put("late", "acknowledged")).await.unwrap();
    drop(store);
    fs::copy(dir.path().join("acknowledged"), earlier.path().join("acknowledged")).unwrap();

    let message = refused(earlier.path()).to_string();
    assert!(message.contains("ends with commit 300, but commit 301 was acknowledged"), "{message}");
}

#[tokio::test]
async fn a_store_of_another_format_is_left_to_the_version_that_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let sled = sled::Config::new().path(dir.path()).segment_size(8 << 20).open().unwrap();
    sled.open_tree("wharf").unwrap().insert("format", "7").unwrap();
    sled.flush().unwrap();
    drop(sled);

    let error = refused(dir.path());
    assert!(matches!(&error, OpenError::Format { found, .. } if found == "7"), "{error:?}");
    assert!(error.to_string().contains("restore the backup"), "{error}");
}

#[tokio::test]
async fn a_store_is_open_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = SledStore::open(dir.path()).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"));
    drop(first);
    SledStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_an_error_of_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = refused(&file);
    assert!(matches!(error, OpenError::Io { doing: "create", .. }), "{error:?}");
}

/// sled's own recovery would step over most of these and open with a part.
#[test]
fn wherever_the_log_is_overwritten_the_store_is_refused_or_whole() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = tempfile::tempdir().unwrap();
    let held = runtime.block_on(filled(whole.path()));
    // A log that still has everything would make up for what the tree lost.
    for name in ["log.0", "log.1"] {
        fs::write(whole.path().join(name), b"").unwrap();
    }
    // The file has its size in advance.
    let bytes = fs::read(whole.path().join("db")).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;

    let refusals = Cell::new(0);
    let cases = 24;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let spot = (0..written, 1..4_000_usize, any::<u8>());
    runner
        .run(&spot, |(at, length, byte)| {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            let log = File::options().write(true).open(dir.path().join("db")).unwrap();
            let length = length.min(usize::try_from(written - at).unwrap());
            log.write_all_at(&vec![byte; length], at).unwrap();
            match SledStore::open(dir.path()) {
                Ok(store) => {
                    let now = runtime.block_on(store.scan(b"", None, MAX_PAGE)).unwrap();
                    prop_assert_eq!(&now, &held);
                }
                Err(OpenError::Damaged { .. }) => refusals.set(refusals.get() + 1),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
            Ok(())
        })
        .unwrap();
    assert!(refusals.get() > 0, "the test damages what matters");
}
