//! Acceptance with a million finished runs in the store, against an empty one.
//!
//! Two hosts take turns. The runs of the full one are copies of one that a
//! host carried, under new ids: every entry that the host wrote about it, so
//! whatever the host keeps of a run, a copy has too.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::DateTime;
use host_model::id::RunId;
use host_store::{Commit, Entry, SledStore, Store};
use http::StatusCode;
use tests_harness::LeadIntake;
use tokio::task::JoinSet;

use crate::durable::{start, three_calls};
use crate::figures::{Figures, median};
use crate::load::fire;

const RUNS: u64 = 1_000_000;
/// Copies in one commit.
const AT_ONCE: u64 = 50;
/// Commits under way: the store groups them.
const UNDER_WAY: usize = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CALLERS: usize = 32;

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    // A smaller number for a quick look; what is written down is of a million.
    let runs = std::env::var("WHARF_BENCH_RUNS").ok().map_or(Ok(RUNS), |text| text.parse())?;
    println!("filled: acceptance with {runs} finished runs in the store");
    let empty = start().await;
    let mut full = start().await;
    let answer = full.visitor("Ada").await;
    let run = LeadIntake::run_of(&answer);
    let ended = full.acme().ended(&run).await;
    anyhow::ensure!(ended["run"]["status"] == "succeeded", "{ended}");
    full.host.terminate().await;
    let began = Instant::now();
    fill(&full.host.folder().join("data/store"), run.parse()?, runs).await?;
    println!("  filled in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    full.host.restart();
    println!("  started in {:.1} s", began.elapsed().as_secs_f64());

    let (accept, to_full) = (
        three_calls(&empty, "respond-async", StatusCode::ACCEPTED),
        three_calls(&full, "respond-async", StatusCode::ACCEPTED),
    );
    for warm in [&accept, &to_full] {
        fire(warm, 8, Duration::from_secs(1)).await?;
    }
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let one = fire(&accept, CALLERS, ROUND).await?.per_second;
        settle(&empty).await;
        let other = fire(&to_full, CALLERS, ROUND).await?.per_second;
        settle(&full).await;
        println!("  accepts/s: {one:.0} empty, {other:.0} full");
        ratios.push(other / one);
    }
    figures.set("accept_ratio_at_1m_runs", median(ratios));
    Ok(())
}

/// Waits until what was accepted is done, so that rounds are alike.
async fn settle(intake: &LeadIntake) {
    loop {
        let metrics =
            intake.host.ask(intake.host.request(reqwest::Method::GET, "/metrics")).await.expect(200);
        if metrics.text.lines().any(|line| line == "wharf_runs_running 0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Copies everything that the store has about one run.
async fn fill(store: &Path, run: RunId, runs: u64) -> anyhow::Result<()> {
    let store = Arc::new(SledStore::open(store)?);
    let template: Arc<[Entry]> = everything_about(&*store, run).await?.into();
    anyhow::ensure!(template.len() >= 4, "a run is at least a record, an input, a step and an end");
    let mut writing = JoinSet::new();
    for first in (0..runs).step_by(usize::try_from(AT_ONCE)?) {
        let commit = copies(&template, run, first..(first + AT_ONCE).min(runs))?;
        let store = Arc::clone(&store);
        writing.spawn(async move { store.commit(commit).await });
        if writing.len() >= UNDER_WAY
            && let Some(written) = writing.join_next().await
        {
            written??;
        }
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

async fn everything_about(store: &dyn Store, run: RunId) -> anyhow::Result<Vec<Entry>> {
    let forms = forms(run);
    let (mut found, mut after): (Vec<Entry>, Option<Bytes>) = (Vec::new(), None);
    loop {
        let page = store.scan(b"", after.as_deref(), 1_000).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.key.clone());
        found.extend(page.into_iter().filter(|entry| forms.iter().any(|form| has(&entry.key, form))));
    }
}

/// How a run's id stands in keys and values: as bytes, as bytes with every bit turned, as text.
fn forms(run: RunId) -> [Vec<u8>; 3] {
    let bytes = run.to_bytes();
    [bytes.to_vec(), bytes.map(|byte| !byte).to_vec(), run.to_string().into_bytes()]
}

fn has(bytes: &[u8], form: &[u8]) -> bool {
    bytes.windows(form.len()).any(|window| window == form)
}

fn copies(template: &[Entry], run: RunId, numbers: std::ops::Range<u64>) -> anyhow::Result<Commit> {
    let was = forms(run);
    let mut commit = Commit::default();
    for number in numbers {
        // One a second, the newest as old as this year.
        let accepted = DateTime::from_timestamp_millis(1_760_000_000_000 - i64::try_from(number)? * 1_000);
        let mut random = [7; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let now = forms(RunId::new(accepted.unwrap(), random));
        for entry in template {
            let (mut key, mut value) = (entry.key.to_vec(), entry.value.to_vec());
            for (was, now) in was.iter().zip(&now) {
                replace(&mut key, was, now);
                replace(&mut value, was, now);
            }
            commit = commit.put(key, value);
        }
    }
    Ok(commit)
}

fn replace(bytes: &mut [u8], was: &[u8], now: &[u8]) {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(was.len()).position(|window| window == was) {
        bytes[from + at..from + at + was.len()].copy_from_slice(now);
        from += at + was.len();
    }
}
