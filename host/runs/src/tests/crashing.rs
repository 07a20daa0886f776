//! Dying everywhere, and what the store can do to us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{Effects, Intent, Stopped};
use host_model::id::RunId;
use host_model::outcome::{CallError, Outcome};
use host_model::run::{Effect, Run, RunStatus, Step, Wait};
use host_store::Store as _;
use host_store::faults::{Fault, FaultyStore};
use tokio::sync::Notify;

use super::world::*;
use crate::{Filter, Runs};

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
            let store = world.dies_after(last, unsure);
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
                    sleep(&effects, 5_000).await?; // in memory
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
        world.clock.advance(Duration::from_secs(5));
    }
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 20), "{:?}", run.outcome);
}

const DAYS: u64 = 3 * 24 * 60 * 60 * 1_000;

async fn does(effects: &Arc<dyn Effects>, intent: Intent) -> Result<Result<String, CallError>, Stopped> {
    let pending = effects.start(intent).await?;
    effects.wait(pending).await
}

/// Calls, two of them at once, a sleep of days, an event, a child that sleeps
/// too, a publication, a reply and a key: twelve steps.
async fn all_there_is(run: Run, effects: Arc<dyn Effects>) -> Result<Result<String, CallError>, Stopped> {
    match run.workflow.as_str() {
        "child" => {
            sleep(&effects, DAYS).await?;
            return call(&effects, "crm", "update", run.input.data).await;
        }
        "on-leads" => return call(&effects, "mail", "send", run.input.data).await,
        _ => {}
    }
    let created = call(&effects, "crm", "create", run.input.data).await?.unwrap();
    does(&effects, Intent::SetKey { name: "customer".to_owned(), value: "4711".to_owned() }).await?.unwrap();
    let mail = start(&effects, "mail", "send", created.clone()).await?;
    let chat = start(&effects, "chat", "post", created).await?;
    let first = effects.wait_any(vec![mail, chat]).await?;
    let sent = effects.wait(mail).await?.unwrap();
    effects.wait(chat).await?.unwrap();
    sleep(&effects, DAYS).await?;
    does(&effects, Intent::Reply { answer: first.to_string() }).await?.unwrap();
    let approved = effects.start(Intent::Event { name: "approved".to_owned(), timeout_ms: None }).await?;
    let by = effects.wait(approved).await?.unwrap();
    let child = Intent::Workflow { workflow: "child".to_owned(), input: sent };
    let child = does(&effects, child).await?.unwrap();
    let told = does(&effects, Intent::Publish { topic: "leads".to_owned(), data: child }).await?.unwrap();
    sleep(&effects, 1).await?;
    call(&effects, "chat", "post", format!("[{by},{told}]")).await
}

fn all_of_it() -> Arc<Fake> {
    let fake = Fake::flow(all_there_is);
    for name in ["child", "on-leads"] {
        fake.workflows.lock().push(workflow_of(&acme(), name, LONG));
    }
    // So that the order of the two at once does not depend on the test.
    Arc::new(fake.endpoint(|call| async move {
        let slow = call.endpoint.as_str() == "post";
        tokio::time::sleep(Duration::from_millis(if slow { 20 } else { 10 })).await;
        Ok(answered(format!("{{\"did\":{}}}", call.input)))
    }))
}

/// Lets time pass and sends what is waited for, until every run has ended.
async fn outside(world: &World, runs: &Arc<Runs>) -> Option<Vec<(Run, Vec<Step>)>> {
    for _ in 0..2_000 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let all = runs.list(&acme(), &Filter::default(), None, 9).await.ok()?.runs;
        for run in &all {
            if run.waits.iter().any(|wait| matches!(wait, Wait::Event { .. })) {
                // It may have been taken in although its answer was lost.
                let _ = runs.deliver(&acme(), run.id, "approved", "\"ada\"".to_owned()).await;
            }
        }
        if all.iter().all(|run| run.status.is_over()) && all.len() == 3 {
            let mut seen = Vec::new();
            for run in all {
                seen.push(runs.ended(&acme(), run.id).await);
            }
            seen.sort_by(|one, other| one.0.workflow.cmp(&other.0.workflow));
            return Some(seen);
        }
        if let Some(next) = world.clock.next_wake() {
            // Those that sleep in memory and the waker both wait for the clock.
            world.clock.set(next.max(host_model::clock::Clock::now(&world.clock)));
        }
    }
    None
}

/// As [`visible`], of all three, ids apart.
fn all_visible(seen: Vec<(Run, Vec<Step>)>) -> Vec<(Visible, BTreeMap<String, String>, Option<String>)> {
    let plain = |mut step: Step| {
        match &mut step.effect {
            Effect::Workflow { run, .. } => *run = None,
            Effect::Publish { runs, .. } => runs.fill(RunId::from_bytes([0; 16])),
            _ => {}
        }
        step
    };
    let all = seen.into_iter().map(|(run, steps)| {
        let (keys, reply) = (run.keys.clone(), run.reply.clone());
        (visible((run, steps.into_iter().map(plain).collect())), keys, reply)
    });
    all.collect()
}

async fn all_calm() -> (Vec<(Visible, BTreeMap<String, String>, Option<String>)>, u64) {
    let (world, fake) = (World::new(), all_of_it());
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)));
    let runs = world.faulty(&store, &fake);
    accept_one(&runs).await;
    let seen = outside(&world, &runs).await.expect("all three end");
    assert!(seen.iter().all(|(run, _)| run.status == RunStatus::Succeeded && run.attempts == 1), "{seen:#?}");
    assert_eq!(seen[1].1.len(), 11);
    assert_eq!(times(&fake).into_values().collect::<Vec<_>>(), [1; 6]);
    (all_visible(seen), store.commits())
}

async fn nothing_is_left(world: &World) {
    for prefix in [crate::keys::all_pending(), crate::keys::wakes()] {
        assert_eq!(world.inner.scan(&prefix, None, 9).await.unwrap().len(), 0, "nothing is taken up again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_commit_of_sleeps_events_and_children_changes_nothing_visible() {
    let (calm, commits) = all_calm().await;
    for unsure in [false, true] {
        for last in 1..=commits {
            let (world, fake) = (World::new(), all_of_it());
            let store = world.dies_after(last, unsure);
            let runs = world.faulty(&store, &fake);
            let _ = runs.accept(vec![new_run()], None).await;
            outside(&world, &runs).await;
            runs.kill().await;

            let runs = world.process(&fake);
            runs.recover().await.unwrap();
            let seen = outside(&world, &runs).await.expect("all three end");
            assert_eq!(all_visible(seen), calm, "death after commit {last}");
            let times = times(&fake);
            assert_eq!(times.len(), 6, "each effect happened");
            assert!(
                times.values().filter(|times| **times > 1).count() <= 2,
                "only what was going on: {times:?}"
            );
            assert!(times.values().all(|times| *times <= 2));
            nothing_is_left(&world).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_one_commit_of_sleeps_events_and_children_suffers_all_of_them_go_on() {
    let (calm, commits) = all_calm().await;
    // Torn and lost ones are what no engine may do (its contract test shows that): nothing can be built on them.
    // The first is the acceptance: what the caller was not told of need not be there.
    for fault in [Fault::Fail, Fault::Unsure, Fault::Delay(Duration::from_secs(5))] {
        for n in 2..=commits {
            let (world, fake) = (World::new(), all_of_it());
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).with(n, fault));
            let runs = world.faulty(&store, &fake);
            accept_one(&runs).await;
            let seen = outside(&world, &runs).await;
            let seen = seen.unwrap_or_else(|| panic!("{fault:?} at commit {n}"));
            assert_eq!(all_visible(seen), calm, "{fault:?} at commit {n}");
            nothing_is_left(&world).await;
        }
    }
}
