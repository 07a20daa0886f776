//! Kill -9 at any moment: what was acknowledged is there.
//!
//! The test runs itself again as a child, which commits as fast as it can and
//! prints each number once its commit was acknowledged. The parent kills it,
//! opens the store and compares.

#![expect(clippy::unwrap_used, reason = "a test: what fails here fails it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_store::{Commit, SledStore, Store};
use tokio::task::JoinSet;

const DIRECTORY: &str = "WHARF_STORE_KILL_TEST";
const CALLERS: u64 = 8;
const KILLS: u64 = 6;

#[test]
fn child_that_commits_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SledStore::open(Path::new(&dir)).unwrap());
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(count_up(Arc::clone(&store), caller));
        }
        callers.join_all().await;
    });
}

/// Each number goes under two keys, with a large value now and then, and
/// deletes what was two numbers before.
async fn count_up(store: Arc<SledStore>, caller: u64) {
    let counter = format!("counter/{caller}");
    let entry = store.get(counter.as_bytes()).await.unwrap();
    let mut number = entry.map_or(0, |entry| read(&entry.value));
    loop {
        number += 1;
        let mut log = number.to_string().into_bytes();
        log.resize(if number % 50 == 0 { 60_000 } else { 300 }, b' ');
        let commit = Commit::default()
            .put(counter.clone(), number.to_string())
            .put(format!("log/{caller}/{number}"), log)
            .delete(format!("log/{caller}/{}", number - 2.min(number)));
        store.commit(commit).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {caller} {number}").unwrap();
        out.flush().unwrap();
    }
}

fn read(value: &Bytes) -> u64 {
    std::str::from_utf8(value).unwrap().trim_end().parse().unwrap()
}

/// Runs the child for a while and kills it; gives the last number of each
/// caller that was acknowledged.
fn run_and_kill(dir: &Path, after: u64) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_commits_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut acknowledged = BTreeMap::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut seen = 0;
    for line in lines {
        let Some(rest) = line.strip_prefix("acknowledged ") else { continue };
        // The kill may cut the last line.
        let Some((caller, number)) = rest.split_once(' ') else { continue };
        let (Ok(caller), Ok(number)) = (caller.parse(), number.parse::<u64>()) else { continue };
        let last: &mut u64 = acknowledged.entry(caller).or_default();
        *last = number.max(*last);
        seen += 1;
        if seen == after {
            // Not at the moment of an acknowledgement, but somewhere between two.
            std::thread::sleep(Duration::from_micros(after * 7919 % 2_000));
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(seen >= after && !status.success(), "the child was killed, not done: {status}");
    acknowledged
}

#[tokio::test]
async fn after_kill_9_every_acknowledged_commit_is_there_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..KILLS {
        let acknowledged = run_and_kill(dir.path(), 1 + kill * kill * 61);
        let store = SledStore::open(dir.path()).unwrap();
        for (caller, last) in acknowledged {
            let counter = store.get(format!("counter/{caller}").as_bytes()).await.unwrap().unwrap();
            let number = read(&counter.value);
            assert!(number >= last, "kill {kill}: caller {caller} was told {last}, the store has {number}");

            let log = store.scan(format!("log/{caller}/").as_bytes(), None, 10).await.unwrap();
            let newest = log.iter().find(|entry| entry.version == counter.version).unwrap();
            assert_eq!(read(&newest.value), number, "a commit is there wholly or not at all");
            assert!(log.len() <= 2, "deletes are part of their commit: {}", log.len());
        }
    }
}
