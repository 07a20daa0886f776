//! Of messages that are the same to a trigger, one run.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::world::*;
use crate::{MAX_RUNS, NewRun, Once};

fn once(key: &str) -> NewRun {
    once_of("lead-intake", key)
}

fn once_of(workflow: &str, key: &str) -> NewRun {
    let once = Once { key: key.to_owned(), window: Duration::from_secs(60) };
    NewRun { once: Some(once), ..new_run_of(&acme(), workflow, "{}") }
}

fn echo() -> Arc<Fake> {
    Arc::new(Fake::flow(|run, _| async move { Ok(Ok(run.input.data)) }))
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_within_the_window_gets_the_earlier_runs_id_and_one_after_it_a_new_run() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let first = runs.accept(vec![once("ada@x")], None).await.unwrap().runs;
    world.clock.advance(Duration::from_secs(59));
    let again = runs.accept(vec![once("ada@x"), once("bob@x")], None).await.unwrap().runs;
    assert_eq!(again[0], first[0]);
    assert_ne!(again[1], first[0]);
    world.clock.advance(Duration::from_secs(1));
    let later = runs.accept(vec![once("ada@x")], None).await.unwrap().runs;
    assert_ne!(later[0], first[0]);
    let page = runs.list(&acme(), &crate::Filter::default(), None, 10).await.unwrap();
    assert_eq!(page.runs.len(), 3, "two of ada and one of bob");
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_is_remembered_by_the_next_process() {
    let (world, fake) = (World::new(), echo());
    let first = world.process(&fake).accept(vec![once("k")], None).await.unwrap().runs;
    let again = world.process(&fake).accept(vec![once("k")], None).await.unwrap().runs;
    assert_eq!(again, first);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_of_two_workflows_is_two_keys_and_twice_in_one_message_is_one_run() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let both =
        runs.accept(vec![once_of("a", "k"), once_of("b", "k"), once_of("a", "k")], None).await.unwrap();
    assert_ne!(both.runs[0], both.runs[1]);
    assert_eq!(both.runs[2], both.runs[0]);
}

#[tokio::test(start_paused = true)]
async fn of_many_that_come_at_once_one_starts_a_run() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let all = join_all((0..4).map(|_| runs.accept(vec![once("k")], None))).await;
    let ids: std::collections::BTreeSet<_> = all.into_iter().map(|it| it.unwrap().runs[0]).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn as_many_as_may_come_at_once_fit_one_commit_though_each_is_large_and_told_apart() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let large = new_run_of(&acme(), "lead-intake", &format!("\"{}\"", "x".repeat(70_000)));
    let many =
        (0..MAX_RUNS).map(|key| NewRun { once: once(&key.to_string()).once, ..large.clone() }).collect();
    assert_eq!(runs.accept(many, None).await.unwrap().runs.len(), MAX_RUNS);
}
