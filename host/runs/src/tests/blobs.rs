//! Large texts go with the last run that has them, and never before.

use std::sync::Arc;
use std::time::Duration;

use host_model::digest::Digest;
use host_model::effects::{Effects, Intent, Stopped};
use host_model::id::RunId;
use host_model::outcome::CallError;
use host_model::retention::RetentionSpec;
use host_model::run::Run;
use host_store::faults::{Fault, FaultyStore};
use host_store::{Blobs, Store as _};

use super::world::*;
use crate::Runs;
use crate::repair::From;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many large steps have more blobs than one commit removes.
const STEPS: u32 = 34;

/// Over what a value of the store may have.
fn large(letter: char) -> String {
    format!("\"{}\"", letter.to_string().repeat(70_000))
}

/// Asks with its input, gives the answer; with `p…` many large steps, with `w…` waits for a large event first.
async fn told(run: Run, effects: Arc<dyn Effects>) -> Result<Result<String, CallError>, Stopped> {
    let data = run.input.data;
    if data.starts_with("\"w") {
        let event = effects.start(Intent::Event { name: "go".to_owned(), timeout_ms: None }).await?;
        effects.wait(event).await?.unwrap();
    }
    if data.starts_with("\"p") {
        for n in 0..STEPS {
            let text = format!("[{n},{}]", large('s'));
            call(&effects, "chat", "post", text).await?.unwrap();
        }
    }
    call(&effects, "crm", "create", data).await
}

fn fake() -> Arc<Fake> {
    let mut fake = Fake::flow(told);
    fake.retention =
        RetentionSpec { succeeded_days: std::num::NonZeroU32::new(1), ..RetentionSpec::default() };
    Arc::new(fake)
}

async fn run(runs: &Arc<Runs>, data: &str) -> RunId {
    let id = accept(runs, data).await;
    runs.ended(&acme(), id).await;
    id
}

async fn accept(runs: &Arc<Runs>, data: &str) -> RunId {
    runs.accept(vec![new_run_of(&acme(), "intake", data)], None).await.unwrap().runs[0]
}

/// As the host does it once an hour.
async fn pass(runs: &Arc<Runs>) -> (usize, usize) {
    let removed = runs.remove_old(&runs.stops).await.unwrap();
    (removed, runs.remove_blobs(&runs.stops).await.unwrap())
}

async fn all(blobs: &Blobs) -> usize {
    let mut count = 0;
    for shelf in 0..=u8::MAX {
        count += blobs.on_shelf(shelf).await.unwrap().len();
    }
    count
}

async fn is_there(world: &World, text: &str) -> bool {
    world.payloads.get(&Digest::of(text.as_bytes())).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_large_payload_goes_with_the_last_run_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let payloads = Blobs::open(dir.path()).unwrap();
    let (world, fake) = (World { payloads, ..World::new() }, fake());
    let runs = world.process(&fake);
    let file = world.payloads.path(&Digest::of(large('a').as_bytes())).unwrap();
    let small = run(&runs, "\"a\"").await;
    assert_eq!(all(&world.payloads).await, 0, "what fits a value has no blob");
    run(&runs, &large('a')).await;
    let alone = all(&world.payloads).await;
    assert!(alone >= 2, "what it was asked with, and what it answered: {alone}");

    world.clock.advance(DAY / 2);
    let second = run(&runs, &large('a')).await;
    assert_eq!(all(&world.payloads).await, alone, "shared");
    assert_eq!(pass(&runs).await, (0, 0));
    world.clock.advance(DAY / 2);
    assert_eq!(pass(&runs).await, (2, 0), "the first, and the small one");
    assert!(runs.get(&acme(), small).await.unwrap().is_none());
    assert!(file.exists());
    assert_eq!(runs.get(&acme(), second).await.unwrap().unwrap().input.data, large('a'));
    world.clock.advance(DAY);
    assert_eq!(pass(&runs).await, (1, alone));
    assert!(!file.exists());
    let left = world.inner.scan(b"", None, 1_000).await.unwrap();
    assert!(left.iter().all(|entry| !String::from_utf8_lossy(&entry.key).contains("blob")), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_commit_of_a_pass_takes_no_blob_of_a_run_that_is_left() {
    for unsure in [false, true] {
        for last in 0.. {
            let (world, fake) = (World::new(), fake());
            let runs = world.process(&fake);
            // One with more blobs than one commit removes, and two that share theirs with one that goes on.
            run(&runs, &large('p')).await;
            run(&runs, &large('a')).await;
            let waits = accept(&runs, &large('w')).await;
            runs.deliver(&acme(), waits, "early", large('a')).await.unwrap();
            world.clock.advance(10 * DAY);

            let store = world.dies_after(last, unsure);
            let dying = world.faulty(&store, &fake);
            let died = dying.remove_old(&dying.stops).await.is_err();
            let cut = dying.remove_blobs(&dying.stops).await.is_err();
            assert_eq!(died || last == 0, cut, "a store that died says nothing of who has a blob");
            assert!(is_there(&world, &large('a')).await, "death after commit {last}");

            let next = world.process(&fake);
            pass(&next).await;
            assert!(is_there(&world, &large('a')).await && is_there(&world, &large('w')).await);
            assert_eq!(all(&world.payloads).await, 2, "the rest is gone, after the death after {last}");
            next.deliver(&acme(), waits, "go", large('b')).await.unwrap();
            let (ended, steps) = next.ended(&acme(), waits).await;
            assert_eq!(ended.input.data, large('w'));
            assert!(steps.iter().all(|step| step.outcome.failure().is_none()));
            if !died && last > 0 {
                assert!(store.commits() >= 4, "{}", store.commits());
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_a_commit_is_about_to_name_stays() {
    let (world, fake) = (World::new(), fake());
    run(&world.process(&fake), &large('a')).await;
    world.clock.advance(10 * DAY);
    // The same payload comes again while the pass that removes it is under way.
    let store = FaultyStore::new(Arc::clone(&world.inner)).with(1, Fault::Delay(Duration::from_secs(60)));
    let slow = world.faulty(&Arc::new(store), &fake);
    let data = large('a');
    let accepting = accept(&slow, &data);
    tokio::pin!(accepting);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut accepting).await.is_err(), "it is under way");
    let (removed, blobs) = pass(&slow).await;
    assert_eq!(removed, 1);
    assert!(blobs > 0, "its other blobs are nobody's");
    assert!(is_there(&world, &large('a')).await, "it is held");
    let again = accepting.await;
    assert_eq!(slow.ended(&acme(), again).await.0.input.data, large('a'));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_for_a_commit_that_was_refused_goes_with_the_next_pass() {
    let (world, fake) = (World::new(), fake());
    let runs = world.process(&fake);
    let over = run(&runs, "\"a\"").await;
    runs.deliver(&acme(), over, "go", large('e')).await.unwrap_err();
    assert!(is_there(&world, &large('e')).await);
    assert_eq!(pass(&runs).await, (0, 1));
    assert!(!is_there(&world, &large('e')).await);
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_what_it_took_over_when_the_first_run_goes() {
    let (world, fake) = (World::new(), fake());
    let runs = world.process(&fake);
    let first = run(&runs, &large('p')).await;
    world.clock.advance(DAY / 2);
    let second = runs.replay(&acme(), first, replay(From::Step(STEPS))).await.unwrap().run;
    let before = runs.ended(&acme(), second).await;
    world.clock.advance(DAY / 2);
    assert_eq!(pass(&runs).await, (1, 0), "the second has all that the first had");
    assert_eq!(runs.ended(&acme(), second).await, before);
    world.clock.advance(DAY);
    assert_eq!(pass(&runs).await.0, 1);
    assert_eq!(all(&world.payloads).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pass_stops_with_its_host_and_goes_on_where_blobs_are_left() {
    let (world, fake) = (World::new(), fake());
    let runs = world.process(&fake);
    for n in 0..250 {
        drop(world.payloads.put_held(format!("left over {n}").into()).await.unwrap());
    }
    runs.stops.drain.cancel();
    assert_eq!(runs.remove_blobs(&runs.stops).await.unwrap(), 100, "a few, then a pause");
    let next = world.process(&fake);
    assert_eq!(next.remove_blobs(&next.stops).await.unwrap(), 150);
}

#[tokio::test(start_paused = true)]
async fn the_blobs_of_runs_from_before_are_read_where_they_are_and_stay() {
    let (mut world, fake) = (World::new(), fake());
    let early = run(&world.process(&fake), &large('a')).await;
    // As a host had them that kept all blobs in one place.
    world.blobs = std::mem::replace(&mut world.payloads, Blobs::in_memory());
    let before = all(&world.blobs).await;
    let runs = world.process(&fake);
    assert_eq!(runs.get(&acme(), early).await.unwrap().unwrap().input.data, large('a'));
    assert!(!runs.steps(&acme(), early, None).await.unwrap().steps.is_empty());
    world.clock.advance(10 * DAY);
    assert_eq!(pass(&runs).await, (1, 0));
    assert_eq!(all(&world.blobs).await, before);
}
