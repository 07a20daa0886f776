//! What is old goes, whole, and nothing else does.

use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{BoxFuture, Effects, Intent, Stopped};
use host_model::id::RunId;
use host_model::outcome::CallError;
use host_model::retention::RetentionSpec;
use host_model::run::{Run, RunStatus, StartedBy};
use host_store::Store as _;

use super::world::*;
use crate::{Filter, Idempotency, Runs, record::Record, shelf::parse};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `"fail"`, `"wait"` for an event, `"many"` steps, `"child"`; anything else succeeds after a call.
fn told(
    run: Run,
    effects: Arc<dyn Effects>,
) -> BoxFuture<'static, Result<Result<String, CallError>, Stopped>> {
    Box::pin(async move {
        let name = "customer".to_owned();
        let set = effects.start(Intent::SetKey { name, value: "1".to_owned() }).await?;
        effects.wait(set).await?.unwrap();
        match run.input.data.as_str() {
            "\"fail\"" => return Ok(Err(CallError::Permanent("no".to_owned()))),
            "\"wait\"" => {
                let event = Intent::Event { name: "go".to_owned(), timeout_ms: None };
                let event = effects.start(event).await?;
                effects.wait(event).await?.unwrap();
            }
            "\"many\"" => {
                for _ in 0..150 {
                    call(&effects, "chat", "post", "1").await?.unwrap();
                }
            }
            _ => drop(call(&effects, "chat", "post", "1").await?),
        }
        Ok(Ok("1".to_owned()))
    })
}

fn fake(succeeded_days: u32) -> Arc<Fake> {
    let mut fake = Fake::flow(told);
    let succeeded_days = std::num::NonZeroU32::new(succeeded_days);
    fake.retention = RetentionSpec { succeeded_days, ..RetentionSpec::default() };
    Arc::new(fake)
}

async fn run(runs: &Arc<Runs>, data: &str) -> RunId {
    let key = Idempotency {
        tenant: acme(),
        scope: "test".to_owned(),
        key: data.to_owned(),
        input: host_model::digest::Digest::of(b"x"),
        answer: None,
    };
    let new = new_run_of(&acme(), "intake", &format!("\"{data}\""));
    let id = runs.accept(vec![new], Some(key)).await.unwrap().runs[0];
    soon(async {
        while runs.get(&acme(), id).await.unwrap().unwrap().status == RunStatus::Accepted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    id
}

/// Every key of the store in which the run's id is.
async fn traces(world: &World, id: RunId) -> usize {
    let (bytes, turned) = (id.to_bytes(), id.to_bytes().map(|byte| !byte));
    let (mut count, mut after) = (0, None);
    loop {
        let page = world.inner.scan(b"", after.as_deref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { return count };
        after = Some(last.key.clone());
        let has = |key: &[u8]| key.windows(16).any(|it| it == bytes || it == turned);
        count += page.iter().filter(|entry| has(&entry.key)).count();
    }
}

async fn statuses(runs: &Arc<Runs>) -> Vec<RunStatus> {
    let page = runs.list(&acme(), &Filter::default(), None, 100).await.unwrap();
    let mut statuses: Vec<_> = page.runs.iter().map(|run| run.status).collect();
    statuses.sort_unstable(); // of one millisecond, any may be first
    statuses
}

#[tokio::test(start_paused = true)]
async fn each_end_is_kept_for_its_days_and_what_has_not_ended_for_ever() {
    let (world, fake) = (World::new(), fake(7));
    let runs = world.process(&fake);
    let good = run(&runs, "good").await;
    let bad = run(&runs, "fail").await;
    let waits = run(&runs, "wait").await;
    let remove = async || runs.remove_old(&runs.stops).await.unwrap();

    world.clock.advance(7 * DAY - Duration::from_secs(1));
    assert_eq!(remove().await, 0);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(remove().await, 1);
    assert!(runs.get(&acme(), good).await.unwrap().is_none());
    // What a caller's key remembers goes with the sweep, a day after it was given.
    runs.sweep().await.unwrap();
    assert_eq!(traces(&world, good).await, 0);
    assert_eq!(statuses(&runs).await, [RunStatus::Waiting, RunStatus::Failed]);

    world.clock.advance(83 * DAY);
    assert_eq!(remove().await, 1);
    assert_eq!(traces(&world, bad).await, 0);
    world.clock.advance(1_000 * DAY);
    assert_eq!(remove().await, 0);
    assert_eq!(statuses(&runs).await, [RunStatus::Waiting]);

    // Its days begin with its end, however long ago it was accepted.
    runs.deliver(&acme(), waits, "go", "1".to_owned()).await.unwrap();
    runs.ended(&acme(), waits).await;
    assert_eq!(remove().await, 0);
    world.clock.advance(7 * DAY);
    assert_eq!(remove().await, 1);
    assert_eq!(traces(&world, waits).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_starter_has_not_ended_is_kept() {
    let (world, fake) = (World::new(), fake(1));
    let runs = world.process(&fake);
    let starter = run(&runs, "wait").await;
    let mut new = new_run_of(&acme(), "intake", "\"good\"");
    new.started_by = StartedBy::Run(starter);
    let child = runs.accept(vec![new], None).await.unwrap().runs[0];
    runs.ended(&acme(), child).await;
    world.clock.advance(10 * DAY);
    assert_eq!(runs.remove_old(&runs.stops).await.unwrap(), 0);
    runs.deliver(&acme(), starter, "go", "1".to_owned()).await.unwrap();
    runs.ended(&acme(), starter).await;
    assert_eq!(runs.remove_old(&runs.stops).await.unwrap(), 1);
    assert!(runs.get(&acme(), child).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_host_does_it_by_itself_once_an_hour() {
    let (world, fake) = (World::new(), fake(1));
    let runs = world.process(&fake);
    let id = run(&runs, "good").await;
    runs.recover().await.unwrap();
    world.clock.advance(2 * DAY);
    soon(async {
        while runs.get(&acme(), id).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_to_be_old_stays_until_its_tenant_is_known() {
    // The host knows how long acme's runs are kept, and nothing of globex yet.
    let (world, fake) = (World::new(), fake(1));
    let runs = world.process(&fake);
    let ours = run(&runs, "good").await;
    let globex: host_model::name::TenantId = "globex".parse().unwrap();
    let new = new_run_of(&globex, "intake", "\"good\"");
    let theirs = runs.accept(vec![new], None).await.unwrap().runs[0];
    runs.ended(&globex, theirs).await;
    world.clock.advance(10_000 * DAY);
    assert_eq!(runs.remove_old(&runs.stops).await.unwrap(), 1);
    assert!(runs.get(&acme(), ours).await.unwrap().is_none());
    assert!(runs.get(&globex, theirs).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_commit_leaves_whole_runs_and_the_next_process_removes_the_rest() {
    // A run that fits one commit, and one that does not.
    for (data, least) in [("good", 1), ("many", 4)] {
        for unsure in [false, true] {
            let mut commits = 0;
            for last in 0.. {
                let (world, fake) = (World::new(), fake(1));
                let runs = world.process(&fake);
                let id = run(&runs, data).await;
                let whole = runs.show(&acme(), id).await.unwrap();
                let bystander = run(&runs, "wait").await;
                let others = traces(&world, bystander).await;
                world.clock.advance(10 * DAY);
                runs.sweep().await.unwrap();

                let store = world.dies_after(last, unsure);
                let dying = world.faulty(&store, &fake);
                let died = dying.remove_old(&dying.stops).await.is_err();
                let now = runs.show(&acme(), id).await.unwrap();
                match now {
                    Some(now) => assert_eq!(Some(now), whole, "{data}: death after commit {last}"),
                    None => assert!(runs.steps(&acme(), id, None).await.unwrap().steps.len() <= 150),
                }
                let next = world.process(&fake);
                next.remove_old(&next.stops).await.unwrap();
                assert_eq!(traces(&world, id).await, 0, "{data}: the process after the death after {last}");
                assert_eq!(traces(&world, bystander).await, others);
                commits = commits.max(store.commits());
                if !died && last > 0 {
                    break;
                }
            }
            assert!(commits >= least, "{data}: {commits}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_replayed_meanwhile_is_kept() {
    let (world, fake) = (World::new(), fake(1));
    let runs = world.process(&fake);
    let id = run(&runs, "good").await;
    world.clock.advance(10 * DAY);
    let key = crate::keys::record(&acme(), id);
    let seen = world.inner.get(&key).await.unwrap().unwrap();
    let (mut record, version) = runs.shelf.record(&acme(), id).await.unwrap().unwrap();
    record.replayed_by = Some(id);
    runs.shelf.write_record(&mut record, version).await.unwrap();
    let seen: Record = parse(&seen.value).unwrap();
    assert!(!runs.remove_one(seen, version).await.unwrap());
    assert!(runs.get(&acme(), id).await.unwrap().is_some());
}
