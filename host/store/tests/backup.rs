//! Backups are tested by restoring them.

#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::io::Cursor;

use bytes::Bytes;
use futures::FutureExt;
use host_store::backup::{BackupError, RestoreError, back_up, restore};
use host_store::port::{MAX_KEY, MAX_PAGE, MAX_VALUE};
use host_store::{Commit, MemoryStore, SledStore, Store};

async fn filled() -> MemoryStore {
    let store = MemoryStore::new();
    for n in 0..2_500_u32 {
        store.commit(Commit::default().put(format!("key/{n}"), n.to_be_bytes().to_vec())).await.unwrap();
    }
    let largest = Commit::default().put(vec![0xff; MAX_KEY], vec![0xff; MAX_VALUE]).put("", "");
    store.commit(largest).await.unwrap();
    store
}

async fn backup_of(store: &dyn Store) -> Vec<u8> {
    let mut backup = Vec::new();
    back_up(store, &mut backup).await.unwrap();
    backup
}

async fn contents(store: &dyn Store) -> Vec<(Bytes, Bytes)> {
    let mut all = Vec::new();
    while let Ok(page) = store.scan(b"", all.last().map(|(key, _): &(Bytes, _)| &key[..]), MAX_PAGE).await {
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|entry| (entry.key, entry.value)));
    }
    all
}

#[tokio::test]
async fn a_restored_store_holds_what_the_first_one_held() {
    let store = filled().await;
    let backup = backup_of(&store).await;
    let dir = tempfile::tempdir().unwrap();
    let restored = SledStore::open(dir.path()).unwrap();
    let summary = restore(&restored, &mut Cursor::new(&backup)).await.unwrap();

    assert_eq!(summary.entries, 2_502);
    assert_eq!(contents(&restored).await, contents(&store).await);
    assert_eq!(backup_of(&restored).await, backup, "a backup of the same is the same, byte for byte");
}

#[tokio::test]
async fn an_empty_store_has_a_backup_too() {
    let backup = backup_of(&MemoryStore::new()).await;
    let summary = restore(&MemoryStore::new(), &mut Cursor::new(backup)).await.unwrap();
    assert_eq!(summary.entries, 0);
}

#[tokio::test]
async fn nothing_is_restored_over_something() {
    let backup = backup_of(&filled().await).await;
    let other = MemoryStore::new();
    other.commit(Commit::default().put("mine", "x")).await.unwrap();
    let refused = restore(&other, &mut Cursor::new(backup)).await;
    assert!(matches!(refused, Err(RestoreError::NotEmpty)), "{refused:?}");
}

#[tokio::test]
async fn of_a_backup_that_is_not_whole_nothing_is_restored() {
    let backup = String::from_utf8(backup_of(&filled().await).await).unwrap();
    let lines: Vec<&str> = backup.split_inclusive('\n').collect();
    let (first, last) = (lines[0], lines[lines.len() - 1]);
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().concat();
    let changed = lines[5].replacen("\"value\":\"AAA", "\"value\":\"AAB", 1);
    assert_ne!(changed, lines[5]);

    let broken = [
        ("empty", String::new()),
        ("no opening", without(0)),
        ("an entry lost", without(7)),
        ("no closing", without(lines.len() - 1)),
        ("cut in a line", backup[..backup.len() / 2].into()),
        ("an entry changed", backup.replacen(lines[5], &changed, 1)),
        ("another count", backup.replacen("2502", "2501", 1)),
        ("more after the end", format!("{backup}{}", lines[5])),
        ("another format", backup.replacen(first, "{\"wharf-backup\":2}\n", 1)),
        ("an unknown line", backup.replacen(last, "{\"entry\":1}\n", 1)),
        ("not base64", backup.replacen("\"key\":\"", "\"key\":\"?", 1)),
        ("an endless line", format!("{first}{}", "x".repeat(1 << 20))),
    ];
    for (what, text) in broken {
        let store = MemoryStore::new();
        let refused = restore(&store, &mut Cursor::new(text)).await;
        assert!(matches!(refused, Err(RestoreError::Broken { .. })), "{what}: {refused:?}");
        assert!(contents(&store).await.is_empty(), "{what}");
    }
}

/// A disk on which somebody commits whenever the backup writes.
struct Busy<'a>(&'a MemoryStore);

impl std::io::Write for Busy<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let commit = self.0.commit(Commit::default().put("key/0", "changed"));
        // The store in memory never waits.
        commit.now_or_never().unwrap().map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_backup_of_a_store_that_changes_meanwhile_fails() {
    let store = filled().await;
    let backup = back_up(&store, &mut Busy(&store)).await;
    assert!(matches!(backup, Err(BackupError::Changed)), "{backup:?}");
}
