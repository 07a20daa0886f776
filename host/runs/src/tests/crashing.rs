//! Dying everywhere, and what the store can do to us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host_model::outcome::Outcome;
use host_model::run::{Effect, Run, RunStatus, Step};
use host_store::Store as _;
use host_store::faults::{Fault, FaultyStore};
use tokio::sync::Notify;

use super::world::*;
use crate::Filter;

/// What a person sees of a run, ids apart.
type Visible = (RunStatus, Option<Outcome<String>>, Vec<(Effect, Outcome<String>, String)>, u64);

fn visible((run, steps): (Run, Vec<Step>)) -> Visible {
    let id = run.id.to_string();
    let step = |step: Step| (step.effect, step.outcome, step.idempotency_key.replace(&id, "run"));
    (run.status, run.outcome, steps.into_iter().map(step).collect(), run.usage.fuel)
}

/// How often each step's effect happened.
fn times(fake: &Fake) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    fake.calls.lock().iter().for_each(|call| *times.entry(call.idempotency_key.clone()).or_default() += 1);
    times
}

/// A run that nothing disturbs: what is seen of it, and how many commits it took.
async fn calm() -> (Visible, u64) {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(six_steps)));
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)));
    let runs = world.faulty(&store, &fake);
    let id = accept_one(&runs).await;
    let seen = runs.ended(&acme(), id).await;
    assert_eq!(seen.0.attempts, 1);
    assert_eq!(times(&fake).into_values().collect::<Vec<_>>(), [1; 5]);
    (visible(seen), store.commits())
}

#[tokio::test(start_paused = true)]
async fn a_calm_run_makes_fewer_commits_than_it_has_steps_and_ends() {
    let (seen, commits) = calm().await;
    assert!(commits < 1 + 6 + 1, "{commits}: the last step shares the commit of the end");
    assert_eq!(seen.0, RunStatus::Succeeded);
    assert_eq!(seen.2.len(), 6);
    assert_eq!(seen.3, 1_000 + 5, "what the workflow used and what its calls used");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_one_call_makes_one_commit_to_accept_and_one_for_all_else() {
    let fake = Arc::new(Fake::flow(|_, effects| async move { call(&effects, "chat", "post", "1").await }));
    let world = World::new();
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)));
    let runs = world.faulty(&store, &fake);
    let (run, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!((run.status, run.steps, steps.len()), (RunStatus::Succeeded, 1, 1));
    assert_eq!(store.commits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_commit_changes_nothing_visible() {
    let (calm, commits) = calm().await;
    for unsure in [false, true] {
        for last in 1..=commits {
            let (world, fake) = (World::new(), Arc::new(Fake::flow(six_steps)));
            let mut store = FaultyStore::new(Arc::clone(&world.inner)).die_after(last);
            if unsure {
                store = store.with(last, Fault::Unsure);
            }
            let store = Arc::new(store);
            let runs = world.faulty(&store, &fake);
            let accepted = runs.accept(vec![new_run()], None).await;
            assert_eq!(accepted.is_ok(), last > 1 || !unsure, "death after commit {last}");
            while !store.is_dead() {
                tokio::task::yield_now().await;
            }
            runs.kill().await;

            let runs = world.process(&fake);
            let id = runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs[0].id;
            let recorded: Vec<_> = runs.steps(&acme(), id, None).await.unwrap().steps;
            runs.recover().await.unwrap();
            let seen = runs.ended(&acme(), id).await;
            assert_eq!(visible(seen), calm, "death after commit {last}");

            let times = times(&fake);
            assert_eq!(times.len(), 5, "each effect happened");
            for step in recorded.iter().filter(|step| matches!(step.effect, Effect::Call { .. })) {
                assert_eq!(times[&step.idempotency_key], 1, "a recorded effect is not repeated");
            }
            assert!(times.values().filter(|times| **times > 1).count() <= 2, "only what was going on");
            assert!(times.values().all(|times| *times <= 2));
            assert!(!runs.places.is_waiting(), "nobody waits");
            let pending = world.inner.scan(&crate::keys::all_pending(), None, 9).await.unwrap();
            assert!(pending.is_empty(), "nothing is taken up again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_death_before_the_first_commit_nothing_is_there() {
    let (world, fake) = (World::new(), Arc::new(Fake::flow(six_steps)));
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(0));
    assert!(world.faulty(&store, &fake).accept(vec![new_run()], None).await.is_err());
    let runs = world.process(&fake);
    assert!(runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_one_commit_suffers_the_run_goes_on_in_the_same_process() {
    let (calm, commits) = calm().await;
    for fault in [Fault::Fail, Fault::Unsure, Fault::Delay(Duration::from_secs(5))] {
        for n in 1..=commits {
            let (world, fake) = (World::new(), Arc::new(Fake::flow(six_steps)));
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).with(n, fault));
            let runs = world.faulty(&store, &fake);
            let accepted = runs.accept(vec![new_run()], None).await;
            let listed = runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs;
            if n == 1 && fault == Fault::Fail {
                assert!(accepted.is_err() && listed.is_empty() && fake.calls.lock().is_empty());
                continue;
            }
            assert_eq!(accepted.is_err(), n == 1 && fault == Fault::Unsure);
            let seen = runs.ended(&acme(), listed[0].id).await;
            assert_eq!(visible(seen), calm, "{fault:?} at commit {n}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_the_host_again_and_again_is_failed_and_says_so() {
    let began = Arc::new(Notify::new());
    let fake = {
        let began = Arc::clone(&began);
        Arc::new(Fake::flow(move |_, _| {
            began.notify_one();
            std::future::pending()
        }))
    };
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.kill().await;
    for _ in 0..5 {
        let runs = world.process(&fake);
        runs.recover().await.unwrap();
        soon(began.notified()).await;
        runs.kill().await;
    }
    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, run.attempts), (RunStatus::Failed, 6));
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("the host ended 6 times"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gets_a_step_further_or_is_parked_in_good_order_is_not_suspected() {
    let reached = Arc::new(Notify::new());
    let fake = {
        let reached = Arc::clone(&reached);
        Arc::new(Fake::flow(move |run, effects: Arc<dyn host_model::effects::Effects>| {
            let reached = Arc::clone(&reached);
            async move {
                for step in 0..run.attempts.min(8) {
                    call(&effects, "chat", "post", step.to_string()).await?.unwrap();
                }
                if run.attempts < 8 {
                    reached.notify_one();
                    std::future::pending::<()>().await;
                }
                for _ in 0..12 {
                    reached.notify_one();
                    sleep(&effects, 60_000).await?;
                }
                Ok(Ok("true".to_owned()))
            }
        }))
    };
    let world = World::new();
    let mut runs = world.process(&fake);
    let id = accept_one(&runs).await;
    for _ in 0..7 {
        soon(reached.notified()).await;
        runs.kill().await;
        runs = world.process(&fake);
        runs.recover().await.unwrap();
    }
    for _ in 0..12 {
        soon(reached.notified()).await;
        assert!(runs.drain(LONG).await, "what sleeps is parked, not cut");
        runs = world.process(&fake);
        runs.recover().await.unwrap();
    }
    world.clock.advance(LONG);
    // Each sleep is of the run's clock, which moved when the one before was over.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        world.clock.advance(Duration::from_secs(60));
    }
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 20), "{:?}", run.outcome);
}
