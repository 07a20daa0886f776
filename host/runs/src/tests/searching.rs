//! Finding runs: whatever is looked for, the answer is the list's, filtered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use host_model::clock::{Clock as _, Timestamp};
use host_model::effects::{Effects, Intent, Stopped};
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::CallError;
use host_model::run::{Run, RunStatus, StartedBy};
use host_store::faults::FaultyStore;
use host_store::{MemoryStore, Store};
use proptest::prelude::*;

use super::world::*;
use crate::repair::{Action, By};
use crate::search::Posted;
use crate::shelf::parse;
use crate::{Filter, Runs};

/// A workflow whose input says what it does: `crm key=customer:1 fail wait`.
async fn told(run: Run, effects: Arc<dyn Effects>) -> Result<Result<String, CallError>, Stopped> {
    let words = run.input.data.trim_matches('"').to_owned();
    for word in words.split(' ') {
        match word.split_once('=') {
            Some(("key", key)) => {
                let (name, value) = key.split_once(':').unwrap();
                let (name, value) = (name.to_owned(), value.to_owned());
                let set = effects.start(Intent::SetKey { name, value }).await?;
                effects.wait(set).await?.unwrap();
            }
            _ if word == "crm" || word == "chat" => drop(call(&effects, word, endpoint(word), "1").await?),
            _ if word == "permanent" => return Ok(Err(CallError::Permanent("no".to_owned()))),
            _ if word == "conflict" => return Ok(Err(CallError::Conflict("no".to_owned()))),
            _ if word == "wait" => {
                let intent = Intent::Event { name: "go".to_owned(), timeout_ms: None };
                let event = effects.start(intent).await?;
                effects.wait(event).await?.unwrap();
            }
            _ => {}
        }
    }
    Ok(Ok("1".to_owned()))
}

fn endpoint(role: &str) -> &'static str {
    if role == "crm" { "create" } else { "post" }
}

/// What is said of a run to be.
#[derive(Clone, Debug)]
struct Said {
    tenant: &'static str,
    workflow: &'static str,
    words: Vec<&'static str>,
    by_webhook: bool,
    /// How much later than the one before, in ms.
    later: u64,
}

fn said() -> impl Strategy<Value = Said> {
    let words = prop_oneof![
        3 => Just("crm"), 2 => Just("chat"), 2 => Just("key=customer:1"), 1 => Just("key=customer:2"),
        1 => Just("key=order:1"), 1 => Just("permanent"), 1 => Just("conflict"), 1 => Just("wait"),
    ];
    let tenant = prop_oneof![4 => Just("acme"), 1 => Just("acme-2")];
    let workflow = prop_oneof![Just("intake"), Just("report")];
    let later = prop_oneof![Just(0), 1..5_u64];
    (tenant, workflow, prop::collection::vec(words, 0..4), any::<bool>(), later).prop_map(
        |(tenant, workflow, words, by_webhook, later)| Said { tenant, workflow, words, by_webhook, later },
    )
}

/// What is looked for; times in ms after the start.
fn filter() -> impl Strategy<Value = (Filter, Option<i64>, Option<i64>, usize)> {
    let some = |values: &'static [&'static str]| prop::option::weighted(0.3, prop::sample::select(values));
    let status = prop::option::weighted(0.4, prop::sample::select(&RunStatus::ALL[..]));
    let keys = prop::collection::btree_map(
        prop::sample::select(&["customer", "order"][..]),
        prop::sample::select(&["1", "2"][..]),
        0..2,
    );
    let time = || prop::option::weighted(0.2, 0..60_i64);
    (
        some(&["intake", "report", "nothing"]),
        status,
        some(&["permanent", "conflict", "trapped"]),
        some(&["acme-crm", "acme-chat", "acme-form", "acme-mail"]),
        keys,
        time(),
        time(),
        1..9_usize,
    )
        .prop_map(|(workflow, status, error, connection, keys, since, until, limit)| {
            let filter = Filter {
                workflow: workflow.map(|name| name.parse().unwrap()),
                status,
                error: error.map(str::to_owned),
                connection: connection.map(|name| name.parse().unwrap()),
                keys: keys.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                ..Filter::default()
            };
            (filter, since, until, limit)
        })
}

async fn make(world: &World, runs: &Arc<Runs>, said: &Said) -> RunId {
    world.clock.advance(Duration::from_millis(said.later));
    let tenant: TenantId = said.tenant.parse().unwrap();
    let mut new = new_run_of(&tenant, said.workflow, &format!("\"{}\"", said.words.join(" ")));
    if said.by_webhook {
        new.started_by = StartedBy::Webhook("acme-form".parse().unwrap());
    }
    runs.accept(vec![new], None).await.unwrap().runs[0]
}

/// Waits until everything has ended or waits.
async fn settled(runs: &Arc<Runs>, tenant: &TenantId, ids: &[RunId]) {
    for id in ids {
        soon(async {
            while runs.get(tenant, *id).await.unwrap().is_some_and(|run| run.status == RunStatus::Accepted) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// Every page of a search.
async fn all(runs: &Arc<Runs>, tenant: &TenantId, filter: &Filter, limit: usize) -> Vec<Run> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = runs.list(tenant, filter, after, limit).await.unwrap();
        assert!(page.runs.len() <= limit);
        all.extend(page.runs);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// What the filter says, without any list.
fn matches(filter: &Filter, run: &Run, steps: &[host_model::run::Step]) -> bool {
    let called = steps.iter().any(|step| match &step.effect {
        host_model::run::Effect::Call { connection, .. } => *connection == filter.connection,
        _ => false,
    });
    let received =
        matches!(&run.started_by, StartedBy::Webhook(name) if Some(name) == filter.connection.as_ref());
    let failed = run.outcome.as_ref().and_then(|outcome| outcome.failure());
    filter.workflow.as_ref().is_none_or(|name| *name == run.workflow)
        && filter.status.is_none_or(|status| status == run.status)
        && filter.since.is_none_or(|since| run.accepted_at >= since)
        && filter.until.is_none_or(|until| run.accepted_at < until)
        && filter.error.as_deref().is_none_or(|error| failed == Some(error))
        && (filter.connection.is_none() || called || received)
        && filter.keys.iter().all(|(name, value)| run.keys.get(name) == Some(value))
}

/// Every entry of every list, and those that the records ask for.
async fn entries(store: &MemoryStore) -> (BTreeSet<Bytes>, BTreeSet<Bytes>) {
    let (mut there, mut asked) = (BTreeSet::new(), BTreeSet::new());
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan(b"", after.as_deref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { return (there, asked) };
        after = Some(last.key.clone());
        for entry in page {
            let mut parts = entry.key.split(|byte| *byte == 0);
            let (_, kind) = (parts.next(), parts.next().unwrap_or_default());
            if kind.starts_with(b"run-by-") {
                there.insert(entry.key.clone());
            } else if kind == b"run" {
                asked.extend(Posted::of(&parse(&entry.value).unwrap()).keys());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_filtering_the_list_finds(
        wanted in prop::collection::vec(said(), 1..30),
        filters in prop::collection::vec(filter(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
            let runs = world.process(&fake);
            let start = world.clock.now();
            let mut made: BTreeMap<TenantId, Vec<RunId>> = BTreeMap::new();
            for said in &wanted {
                let id = make(&world, &runs, said).await;
                made.entry(said.tenant.parse().unwrap()).or_default().push(id);
            }
            for (tenant, ids) in &made {
                settled(&runs, tenant, ids).await;
            }
            for (mut filter, since, until, limit) in filters {
                let at = |ms: i64| -> Timestamp { start + TimeDelta::milliseconds(ms) };
                (filter.since, filter.until) = (since.map(at), until.map(at));
                for (tenant, ids) in &made {
                    let mut want = Vec::new();
                    for id in ids {
                        let (run, steps) = runs.show(tenant, *id).await.unwrap().unwrap();
                        want.extend(matches(&filter, &run, &steps.steps).then_some(*id));
                    }
                    want.sort_by_key(|id| std::cmp::Reverse(*id));
                    let found = all(&runs, tenant, &filter, limit).await;
                    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), want, "{filter:?}");
                }
            }
            let (there, asked) = entries(&world.inner).await;
            assert_eq!(there, asked);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn pages_have_no_gap_and_nothing_twice_while_runs_are_added() {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
    let runs = world.process(&fake);
    let said = |words| Said { tenant: "acme", workflow: "intake", words, by_webhook: false, later: 1 };
    let mut ids = Vec::new();
    for _ in 0..70 {
        ids.insert(0, make(&world, &runs, &said(vec!["key=customer:1", "crm"])).await);
    }
    settled(&runs, &acme(), &ids).await;
    let filter = Filter {
        keys: [("customer".to_owned(), "1".to_owned())].into(),
        connection: Some("acme-crm".parse().unwrap()),
        ..Filter::default()
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = runs.list(&acme(), &filter, after, 7).await.unwrap();
        found.extend(page.runs.into_iter().map(|run| run.id));
        let new = make(&world, &runs, &said(vec!["key=customer:1", "crm"])).await;
        settled(&runs, &acme(), &[new]).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
}

#[tokio::test(start_paused = true)]
async fn a_search_that_finds_little_among_much_gives_short_pages_and_says_where_to_go_on() {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
    let runs = world.process(&fake);
    let said = |words| Said { tenant: "acme", workflow: "intake", words, by_webhook: false, later: 1 };
    let first = make(&world, &runs, &said(vec!["key=order:1", "key=customer:2"])).await;
    settled(&runs, &acme(), &[first]).await;
    // Two long lists that share only the oldest run: made where the run's own would be.
    let mut commit = host_store::Commit::default();
    for n in 0..6_000_i64 {
        let at = world.clock.now() + TimeDelta::milliseconds(n + 1);
        let list = if n % 2 == 0 { ("order", "1") } else { ("customer", "2") };
        commit =
            commit.put(Posted::key_entry(&acme(), list.0, list.1, RunId::new(at, [1; 10])), Bytes::new());
        if commit.put.len() == 1_000 {
            world.inner.commit(std::mem::take(&mut commit)).await.unwrap();
        }
    }
    let keys = [("order".to_owned(), "1".to_owned()), ("customer".to_owned(), "2".to_owned())].into();
    let filter = Filter { keys, ..Filter::default() };
    let (mut pages, mut found, mut after) = (0, Vec::new(), None);
    loop {
        let page = runs.list(&acme(), &filter, after, 10).await.unwrap();
        pages += 1;
        found.extend(page.runs.into_iter().map(|run| run.id));
        assert!(page.next.is_none() || page.next < after.or(Some(RunId::from_bytes([0xff; 16]))));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [first]);
    assert!((1..20).contains(&pages), "{pages}");
}

#[tokio::test(start_paused = true)]
async fn a_page_of_those_that_succeeded_is_full_unless_thousands_that_failed_come_between() {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
    let runs = world.process(&fake);
    let said = |words| Said { tenant: "acme", workflow: "intake", words, by_webhook: false, later: 1 };
    let good = make(&world, &runs, &said(vec!["crm"])).await;
    let bad = make(&world, &runs, &said(vec!["permanent"])).await;
    settled(&runs, &acme(), &[good, bad]).await;
    // Copies, oldest first: 3 good, 2,500 bad, 3 good, 1,900 bad, 3 good.
    let (good, _) = runs.shelf.record(&acme(), good).await.unwrap().unwrap();
    let (bad, _) = runs.shelf.record(&acme(), bad).await.unwrap().unwrap();
    let (mut commit, mut succeeded, mut ms) = (host_store::Commit::default(), Vec::new(), 0);
    for (like, count) in [(&good, 3), (&bad, 2_500), (&good, 3), (&bad, 1_900), (&good, 3)] {
        for _ in 0..count {
            ms += 1;
            let id = RunId::new(world.clock.now() + TimeDelta::milliseconds(ms), [1; 10]);
            let copy = crate::record::Record { id, posted: Posted::default(), ..like.clone() };
            commit = crate::shelf::Shelf::with_record(&copy, commit).unwrap();
            if like.id == good.id {
                succeeded.insert(0, id);
            }
            if commit.put.len() > 900 {
                world.inner.commit(std::mem::take(&mut commit)).await.unwrap();
            }
        }
    }
    world.inner.commit(commit).await.unwrap();
    succeeded.push(good.id);

    let by_workflow = Some("intake".parse().unwrap());
    for workflow in [None, by_workflow] {
        let filter = Filter { workflow, status: Some(RunStatus::Succeeded), ..Filter::default() };
        let (mut sizes, mut found, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = runs.list(&acme(), &filter, after, 5).await.unwrap();
            sizes.push(page.runs.len());
            found.extend(page.runs.into_iter().map(|run| run.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, succeeded, "no page that is short is the last unless it says so");
        assert_eq!(sizes[0], 5, "over 1,900 that failed: {sizes:?}");
        assert!(sizes.len() <= 4, "{sizes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenants_runs_are_never_found() {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
    let runs = world.process(&fake);
    let words = vec!["key=customer:1", "crm", "permanent"];
    let theirs = Said { tenant: "acme-2", workflow: "intake", words, by_webhook: true, later: 1 };
    let id = make(&world, &runs, &theirs).await;
    settled(&runs, &"acme-2".parse().unwrap(), &[id]).await;
    let filters = [
        Filter { workflow: Some("intake".parse().unwrap()), ..Filter::default() },
        Filter { status: Some(RunStatus::Failed), ..Filter::default() },
        Filter { error: Some("permanent".to_owned()), ..Filter::default() },
        Filter { connection: Some("acme-crm".parse().unwrap()), ..Filter::default() },
        Filter { connection: Some("acme-form".parse().unwrap()), ..Filter::default() },
        Filter { keys: [("customer".to_owned(), "1".to_owned())].into(), ..Filter::default() },
        Filter::default(),
    ];
    for filter in filters {
        assert_eq!(all(&runs, &"acme-2".parse().unwrap(), &filter, 9).await.len(), 1, "{filter:?}");
        for other in ["acme", "acm", "acme-22"] {
            assert!(all(&runs, &other.parse().unwrap(), &filter, 9).await.is_empty(), "{filter:?}");
        }
    }
}

/// A run that is paused, resumed, waits, is woken by an event, and fails; and its replay.
async fn much_happens(runs: &Arc<Runs>) -> Option<()> {
    let new = new_run_of(&acme(), "intake", "\"key=customer:1 crm wait key=customer:2 chat conflict\"");
    let id = runs.accept(vec![new], None).await.ok()?.runs[0];
    let stands = async |status: RunStatus| loop {
        match runs.get(&acme(), id).await.ok()? {
            Some(run) if run.status == status => return Some(()),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    stands(RunStatus::Waiting).await?;
    let by = By::default();
    runs.intervene(&acme(), id, Action::Pause, by.clone()).await.ok()?;
    runs.intervene(&acme(), id, Action::Resume, by.clone()).await.ok()?;
    runs.deliver(&acme(), id, "go", "1".to_owned()).await.ok()?;
    stands(RunStatus::Failed).await?;
    let replay = crate::repair::Replay {
        from: crate::repair::From::Start,
        on: crate::repair::On::Pinned,
        input: None,
        dry: false,
        by,
        request: None,
        unless_replayed: false,
    };
    runs.replay(&acme(), id, replay).await.ok()?;
    let new = new_run_of(&acme(), "intake", "\"wait\"");
    let id = runs.accept(vec![new], None).await.ok()?.runs[0];
    runs.intervene(&acme(), id, Action::Terminate, By::default()).await.ok()?;
    Some(())
}

#[tokio::test(start_paused = true)]
async fn the_lists_say_what_the_records_say_after_a_death_at_any_commit() {
    let commits = {
        let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)));
        let runs = world.faulty(&store, &fake);
        soon(much_happens(&runs)).await.unwrap();
        store.commits()
    };
    assert!(commits >= 7, "{commits}");
    for unsure in [false, true] {
        for last in 1..=commits {
            let (world, fake) = (World::new(), Arc::new(Fake::flow(told)));
            let store = world.dies_after(last, unsure);
            let runs = world.faulty(&store, &fake);
            tokio::select! {
                _ = much_happens(&runs) => {}
                () = async { while !store.is_dead() { tokio::time::sleep(Duration::from_millis(1)).await } } => {}
            }
            runs.kill().await;
            let (there, asked) = entries(&world.inner).await;
            assert_eq!(there, asked, "death after commit {last}");
            // And the next process leaves them so.
            let runs = world.process(&fake);
            runs.recover().await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            let (there, asked) = entries(&world.inner).await;
            assert_eq!(there, asked, "the process after the death after commit {last}");
        }
    }
}
