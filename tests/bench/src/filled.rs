//! Acceptance with a million finished runs in the store, against an empty one,
//! and searching among them.
//!
//! Two hosts take turns. The runs of the full one are copies of one that a
//! host carried, under new ids: every entry that the host wrote about it, so
//! whatever the host keeps of a run, a copy has too. Each copy has a business
//! key besides, one in a thousand the same.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::DateTime;
use host_model::id::RunId;
use host_store::{Commit, Entry, SledStore, Store, key};
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
    figures.set("search_page_ms_1m", slowest_page(&full, runs).await?);
    Ok(())
}

/// What people look for: common, rare and absent things, alone and together,
/// from the newest on and from the middle. And whether there is any.
const SEARCHES: [(&str, bool); 9] = [
    ("", true),
    ("workflow=lead-intake", true),
    ("workflow=lead-intake&connection=crm", true),
    ("workflow=one-call&connection=crm", false),
    ("status=succeeded", true),
    ("status=failed&workflow=lead-intake", false),
    ("key=customer:c7", true),
    ("key=customer:c7&workflow=lead-intake&connection=crm&status=succeeded", true),
    ("key=customer:c7&error=permanent", false),
];
/// How often each is asked for, by a caller at a time.
const TIMES: usize = 11;

/// The longest median of a page of fifty, in ms, as a caller of the API sees it.
async fn slowest_page(intake: &LeadIntake, runs: u64) -> anyhow::Result<f64> {
    let middle = accepted(runs / 2).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let mut slowest: f64 = 0.0;
    for (search, any) in SEARCHES {
        for until in [String::new(), format!("&until={middle}")] {
            let (mut took, mut found) = (Vec::new(), 0);
            for _ in 0..TIMES {
                let path = format!("/runs?limit=50&{search}{until}");
                let began = Instant::now();
                let answer = intake.acme().api(reqwest::Method::GET, &path, "").await.expect(200);
                took.push(began.elapsed().as_secs_f64() * 1e3);
                let page: Vec<serde_json::Value> = serde_json::from_str(&answer.text)?;
                found = page.len();
            }
            anyhow::ensure!(any == (found > 0), "{found} runs for `{search}{until}`");
            let took = median(took);
            println!("  {took:6.2} ms for {found:2} runs: {search}{until}");
            slowest = slowest.max(took);
        }
    }
    Ok(slowest)
}

/// When a copy was accepted: one a second, the newest as old as this year.
fn accepted(number: u64) -> DateTime<chrono::Utc> {
    let ms = 1_760_000_000_000 - i64::try_from(number).unwrap_or(0) * 1_000;
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
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
        let mut random = [7; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let id = RunId::new(accepted(number), random);
        let now = forms(id);
        let customer = format!("c{}", number % 1_000);
        let [_, turned, _] = &now;
        let list = key::tenant(&"acme".parse()?).kind("run-by-key").name("customer").name(&customer);
        commit = commit.put(list.bytes(turned), Vec::new());
        for entry in template {
            let (mut key, mut value) = (entry.key.to_vec(), entry.value.to_vec());
            for (was, now) in was.iter().zip(&now) {
                replace(&mut key, was, now);
                replace(&mut value, was, now);
            }
            if key.starts_with(b"acme\0run\0") {
                // The business key stands in the record, too.
                let with_key = format!("{{\"keys\":{{\"customer\":\"{customer}\"}},");
                value.splice(..1, with_key.into_bytes());
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
