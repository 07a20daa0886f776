//! Old runs are removed by the real host, right after it starts: each tenant's
//! own days hold from the first look on.

use std::path::Path;

use host_model::id::RunId;
use host_store::{Commit, SledStore, Store as _};
use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{LeadIntake, eventually};

use crate::made::{made, start};

/// 2025-07-22, longer ago than 90 days and shorter than the century that acme says.
const THEN_MS: u64 = 1_753_142_400_000;
const THEN: &str = "2025-07-22T00:00:00Z";

/// Moves all that the store has about a run to an id of long ago, and has it end then.
async fn age(store: &Path, run: &str) -> String {
    let store = SledStore::open(store).unwrap();
    let was: RunId = run.parse().unwrap();
    // An id begins with its time, in milliseconds.
    let mut bytes = was.to_bytes();
    bytes[..6].copy_from_slice(&THEN_MS.to_be_bytes()[2..]);
    let now = RunId::from_bytes(bytes);
    let forms = |id: RunId| {
        let bytes = id.to_bytes().to_vec();
        let turned = bytes.iter().map(|byte| !byte).collect();
        [bytes, turned, id.to_string().into_bytes()]
    };
    let pairs: Vec<_> = forms(was).into_iter().zip(forms(now)).collect();
    let moved = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        for (was, now) in &pairs {
            while let Some(at) = bytes.windows(was.len()).position(|window| window == was) {
                bytes.splice(at..at + was.len(), now.iter().copied());
            }
        }
        bytes
    };
    let mut commit = Commit::default();
    for entry in store.scan(b"", None, 1_000).await.unwrap() {
        let key = moved(&entry.key);
        if key == entry.key {
            continue;
        }
        let mut value = moved(&entry.value);
        if key.starts_with(b"acme\0run\0") {
            let mut record: Value = serde_json::from_slice(&value).unwrap();
            assert!(record["finished-at"].is_string(), "{record}");
            record["finished-at"] = json!(THEN);
            value = record.to_string().into_bytes();
        }
        commit = commit.put(key, value).delete(entry.key);
    }
    assert!(commit.put.len() > 3, "{commit:?}");
    store.commit(commit).await.unwrap();
    now.to_string()
}

fn files(folder: &Path) -> usize {
    let shelves = std::fs::read_dir(folder).unwrap().map(|shelf| shelf.unwrap().path());
    shelves.map(|shelf| std::fs::read_dir(shelf).unwrap().count()).sum()
}

#[tokio::test]
async fn the_first_look_after_a_start_knows_each_tenants_days_and_removes_files_too() {
    let mut intake = LeadIntake::start().await;
    let tenant = json!({ "name": "acme", "retention": { "succeeded-days": 36_500 } }).to_string();
    intake.host.operate(Method::PUT, "/tenants/acme", tenant).await;
    made(&intake, "steps:\n- if: ${ .fails }\n  then: [ { fail: \"no\" } ]\n").await;
    let kept = start(&intake, "made", json!({ "fails": false })).await;
    let large = json!({ "fails": true, "text": "x".repeat(100_000) });
    let gone = start(&intake, "made", large).await;
    assert_eq!(intake.acme().ended(&kept).await["run"]["status"], "succeeded");
    assert_eq!(intake.acme().ended(&gone).await["run"]["status"], "failed");
    let payloads = intake.host.folder().join("data/payloads/sha256");
    assert_eq!(files(&payloads), 1);

    intake.host.terminate().await;
    let store = intake.host.folder().join("data/store");
    // Both have been over for longer than the usual days.
    let (kept, gone) = (age(&store, &kept).await, age(&store, &gone).await);
    intake.host.restart();
    let read = async |id: &str| intake.acme().api(Method::GET, &format!("/runs/{id}"), "").await.status;
    eventually("the removal of the run that failed", async || (read(&gone).await == 404).then_some(())).await;
    eventually("the removal of its file", async || (files(&payloads) == 0).then_some(())).await;
    assert_eq!(read(&kept).await, 200);
}
