//! Calls that fail and are tried again, and runs that are over their deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use host_model::clock::Clock as _;
use host_model::effects::{Effects, Intent};
use host_model::id::RunId;
use host_model::outcome::{Bound, CallError, Exceeded, Finished, Outcome, Usage};
use host_model::retry::{OwnTries, Retry};
use host_model::run::{Effect, Run, RunStatus, Step, Wait};
use host_store::Store as _;
use host_store::faults::{Fault, FaultyStore};
use parking_lot::Mutex;

use super::world::*;
use crate::repair::{Action, By, From, On, Replay};
use crate::{Filter, NewRun, Runs, keys};

const MINUTE: Duration = Duration::from_secs(60);

/// A run whose calls are tried again like this.
fn run_with(retry: Retry, deadline: Option<Duration>) -> NewRun {
    let mut new = new_run();
    let workflow = Arc::make_mut(&mut new.workflow);
    (workflow.retry, workflow.deadline) = (retry, deadline);
    new
}

async fn accept(runs: &Arc<Runs>, retry: Retry, deadline: Option<Duration>) -> RunId {
    runs.accept(vec![run_with(retry, deadline)], None).await.unwrap().runs[0]
}

fn says(outcome: Outcome<String>) -> Finished<String> {
    Finished { outcome, usage: Usage { fuel: 10, ..Usage::default() }, log: Vec::new() }
}

fn busy() -> Outcome<String> {
    Outcome::Declined(CallError::Retry("busy".to_owned()))
}

/// One call, whose error the workflow gives on.
fn one_call() -> Fake {
    Fake::flow(|_, effects| async move { call(&effects, "crm", "create", "1").await })
}

/// An endpoint that says this the first so many times that a key is offered.
fn failing(fake: Fake, times: u32, with: Outcome<String>) -> Arc<Fake> {
    let seen: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    Arc::new(fake.endpoint(move |call| {
        let nth = {
            let mut seen = seen.lock();
            let count = seen.entry(call.idempotency_key).or_default();
            *count += 1;
            *count
        };
        let finished = if nth <= times { says(with.clone()) } else { answered("true") };
        async move { Ok(finished) }
    }))
}

/// Lets time pass until the run has ended; `None` if it does not.
async fn passes(world: &World, runs: &Runs, id: RunId) -> Option<(Run, Vec<Step>)> {
    for _ in 0..3_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let run = runs.get(&acme(), id).await.ok()??;
        if run.status.is_over() {
            return Some((run, runs.steps(&acme(), id, None).await.ok()?.steps));
        }
        if let Some(next) = world.clock.next_wake() {
            world.clock.set(next.max(world.clock.now()));
        }
    }
    None
}

async fn at_its_end(world: &World, runs: &Runs, id: RunId) -> (Run, Vec<Step>) {
    passes(world, runs, id).await.expect("the run ends")
}

/// The run once it is parked; the clock stands still meanwhile.
async fn parked(runs: &Runs, id: RunId) -> Run {
    for _ in 0..10_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let run = runs.get(&acme(), id).await.unwrap().unwrap();
        if run.status == RunStatus::Waiting {
            return run;
        }
    }
    panic!("it is not parked: {:?}", runs.get(&acme(), id).await);
}

async fn nothing_left(world: &World, id: RunId) {
    for prefix in [keys::all_pending(), keys::wakes(), keys::all_tries(&acme(), id)] {
        assert_eq!(world.inner.scan(&prefix, None, 9).await.unwrap().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_and_the_workflow_hears_of_all_else_at_once() {
    let text = || "503 try again later".to_owned();
    let exceeded = |bound| Outcome::Exceeded(Exceeded { bound, limit: 1, used: 2 });
    for (said, again) in [
        (busy(), true),
        (Outcome::Declined(CallError::RateLimited(None)), true),
        (Outcome::Declined(CallError::RateLimited(Some(300))), true),
        (exceeded(Bound::WallTime), true),
        (Outcome::Declined(CallError::InvalidInput(text())), false),
        (Outcome::Declined(CallError::Unauthorized(text())), false),
        (Outcome::Declined(CallError::NotFound(text())), false),
        (Outcome::Declined(CallError::Conflict(text())), false),
        (Outcome::Declined(CallError::Permanent(text())), false),
        (Outcome::Declined(CallError::Other(text())), false),
        (exceeded(Bound::Fuel), false),
        (Outcome::Trapped(text()), false),
        (Outcome::BadAnswer(text()), false),
    ] {
        let fake = failing(one_call(), 2, said.clone());
        let world = World::new();
        let runs = world.process(&fake);
        let id = accept(&runs, Retry::default(), None).await;
        let (run, steps) = at_its_end(&world, &runs, id).await;
        let called: Vec<_> = fake.calls.lock().iter().map(|call| call.idempotency_key.clone()).collect();
        let [step] = steps.as_slice() else { panic!("one step, however often it is tried: {steps:?}") };
        assert!(called.iter().all(|key| *key == step.idempotency_key), "{said:?}: {called:?}");
        if again {
            assert_eq!(
                (run.status, called.len(), step.tries.len()),
                (RunStatus::Succeeded, 3, 2),
                "{said:?}"
            );
            assert_eq!(run.usage.fuel, 1_000 + 10 + 10 + 1, "each try counts");
            let kind = said.clone().into_call_result().unwrap_err().kind();
            assert!(
                step.tries.iter().all(|one| one.kind == kind && one.usage.fuel == 10 && !one.why.is_empty())
            );
            assert!(step.started_at <= step.tries[0].at && step.tries[1].at <= step.finished_at);
            assert_eq!(run.failure, None);
        } else {
            assert_eq!((run.status, called.len(), step.tries.len()), (RunStatus::Failed, 1, 0), "{said:?}");
            assert_eq!(step.gave_up, None);
            let failure = run.failure.unwrap();
            assert_eq!(failure.step.unwrap().kind, said.failure().unwrap());
        }
        nothing_left(&world, id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_tried_so_often_and_then_the_workflow_hears_of_the_last_error() {
    for (tries, calls, why) in
        [(1, 1, None), (2, 2, Some("it was tried 2 times, which is `retry.tries`")), (5, 5, Some("5 times"))]
    {
        let fake = failing(one_call(), 99, busy());
        let world = World::new();
        let runs = world.process(&fake);
        let id = accept(&runs, Retry { tries, ..Retry::default() }, None).await;
        let (run, steps) = at_its_end(&world, &runs, id).await;
        assert_eq!(fake.calls.lock().len(), calls);
        assert_eq!(run.outcome, Some(busy()));
        assert!(steps[0].gave_up.as_deref().unwrap_or_default().contains(why.unwrap_or_default()));
        assert_eq!(steps[0].gave_up.is_some(), why.is_some());
        let failure = run.failure.unwrap();
        assert_eq!(
            (failure.kind.as_str(), failure.retry.tries, failure.retries),
            ("retry", tries, tries - 1)
        );
        let step = failure.step.unwrap();
        assert_eq!((step.number, step.tries, step.kind.as_str()), (0, tries, "retry"));
        assert!(step.asked.contains("create"), "{step:?}");
        nothing_left(&world, id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_with_tries_of_its_own_is_tried_as_they_say_and_all_under_one_key() {
    let flow = |_, effects: Arc<dyn Effects>| async move {
        let tries = Some(OwnTries { times: 6, first_ms: 2_000, longest_ms: 4_000 });
        let (role, endpoint, input) = ("crm".to_owned(), "create".to_owned(), "1".to_owned());
        let pending = effects.start(Intent::Call { role, endpoint, input, tries }).await?;
        effects.wait(pending).await
    };
    for (fails, tried) in [(99, 6), (4, 5)] {
        let fake = failing(Fake::flow(flow), fails, busy());
        let world = World::new();
        let runs = world.process(&fake);
        let id = accept(&runs, Retry { tries: 2, ..Retry::default() }, None).await;
        let (run, steps) = at_its_end(&world, &runs, id).await;
        let keys: BTreeSet<_> = fake.calls.lock().iter().map(|call| call.idempotency_key.clone()).collect();
        assert_eq!((fake.calls.lock().len(), keys.len()), (tried, 1));
        assert_eq!(run.status == RunStatus::Succeeded, fails < 6);
        let pauses: Vec<_> =
            steps[0].tries.windows(2).map(|two| (two[1].at - two[0].at).num_milliseconds()).collect();
        let within = pauses.iter().zip([1_000..=2_100, 2_000..=4_100, 2_000..=4_100]);
        assert!(
            within.clone().count() > 2 && within.into_iter().all(|(ms, want)| want.contains(ms)),
            "{pauses:?}"
        );
        if fails == 99 {
            assert_eq!(
                steps[0].gave_up.as_deref(),
                Some("it was tried 6 times, which is what its step says")
            );
        }
        nothing_left(&world, id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_run_have_so_many_further_tries_together() {
    let fake = Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        let mut said = Vec::new();
        for n in 0..3 {
            said.push(call(&effects, "crm", "create", n.to_string()).await?.is_ok());
        }
        Ok(Ok(format!("{said:?}")))
    });
    let fake = failing(fake, 2, busy());
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept(&runs, Retry { per_run: 3, ..Retry::default() }, None).await;
    let (run, steps) = at_its_end(&world, &runs, id).await;
    assert_eq!(run.outcome, Some(Outcome::Answered("[true, false, false]".to_owned())));
    assert_eq!(steps.iter().map(|step| step.tries.len()).collect::<Vec<_>>(), [2, 1, 0]);
    assert!(steps[2].gave_up.as_deref().unwrap().contains("3 times, which is `retry.per-run`"));
    nothing_left(&world, id).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_outside_system_asked_for_is_waited_for_also_beyond_the_longest_pause() {
    let limited = |ms| Outcome::Declined(CallError::RateLimited(Some(ms)));
    let hour = 3_600_000;
    let fake = failing(one_call(), 1, limited(hour));
    let world = World::new();
    let runs = world.process(&fake);
    let retry = Retry { longest_ms: 1_000, ..Retry::default() };
    let id = accept(&runs, retry, None).await;
    let began = world.clock.now();
    let run = parked(&runs, id).await;
    assert_eq!(runs.places.in_memory(), 0, "it takes no memory");
    let [Wait::Retry { step: 0, until, tries: 1, why }] = run.waits.as_slice() else { panic!("{run:?}") };
    assert!(why.contains("rate limited"), "{why}");
    assert!(*until >= began + Duration::from_millis(hour));
    assert!(*until <= began + Duration::from_millis(hour + retry.first_ms));
    world.clock.set(began + Duration::from_millis(hour - 1));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(fake.calls.lock().len(), 1, "not before");
    let (run, steps) = at_its_end(&world, &runs, id).await;
    assert_eq!((run.status, steps[0].tries.len()), (RunStatus::Succeeded, 1));
    assert_eq!(steps[0].started_at, began);

    for (ms, deadline, why) in [
        (90_000_000, None, "the host waits for 86400000 at most"),
        (u64::MAX, None, "at most"),
        (hour, Some(Duration::from_millis(hour)), "after the run's deadline"),
    ] {
        let fake = failing(one_call(), 1, limited(ms));
        let runs = world.process(&fake);
        let id = accept(&runs, retry, deadline).await;
        let (run, steps) = runs.ended(&acme(), id).await;
        assert_eq!((run.outcome, fake.calls.lock().len()), (Some(limited(ms)), 1));
        assert!(steps[0].gave_up.as_deref().unwrap().contains(why), "{:?}", steps[0].gave_up);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_waited_for_is_not_tried_again_for_nobody() {
    let fake = Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        start(&effects, "crm", "create", "1").await?;
        sleep(&effects, 1).await?;
        Ok(Ok("1".to_owned()))
    });
    let fake = failing(fake, 9, Outcome::Declined(CallError::RateLimited(Some(60_000))));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept(&runs, Retry::default(), None).await;
    let (run, steps) = at_its_end(&world, &runs, id).await;
    assert_eq!((run.status, fake.calls.lock().len()), (RunStatus::Succeeded, 1));
    assert_eq!(steps[0].gave_up.as_deref(), Some("the workflow ended without waiting for it"));
    assert_eq!(steps[0].outcome, Outcome::Declined(CallError::RateLimited(Some(60_000))));
    assert_eq!(steps[0].tries.len(), 1);
    nothing_left(&world, id).await;
}

#[tokio::test(start_paused = true)]
async fn what_undoes_a_run_is_tried_again_too_and_never_parked() {
    let fake = Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        let (role, endpoint, input) = ("crm".to_owned(), "update".to_owned(), "7".to_owned());
        let undo = effects.start(Intent::OnCancel { role, endpoint, input }).await?;
        effects.wait(undo).await?.unwrap();
        sleep(&effects, 60 * 60 * 1_000).await?;
        Ok(Ok("1".to_owned()))
    });
    let fake = failing(fake, 2, Outcome::Declined(CallError::RateLimited(Some(20_000))));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept(&runs, Retry::default(), Some(2 * 60 * MINUTE)).await;
    parked(&runs, id).await;
    runs.intervene(&acme(), id, Action::Cancel, By::default()).await.unwrap();
    let (run, steps) = at_its_end(&world, &runs, id).await;
    assert_eq!((run.status, fake.calls.lock().len()), (RunStatus::Cancelled, 3), "{run:?}");
    assert_eq!(steps.last().unwrap().tries.len(), 2);
    nothing_left(&world, id).await;
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_asks_for_something_else_than_what_is_tried_has_diverged() {
    let attempt = Arc::new(AtomicU32::new(0));
    let fake = {
        let attempt = Arc::clone(&attempt);
        Fake::flow(move |_, effects: Arc<dyn Effects>| {
            let input = attempt.fetch_add(1, Ordering::SeqCst).to_string();
            async move { call(&effects, "crm", "create", input).await }
        })
    };
    let fake = failing(fake, 9, Outcome::Declined(CallError::RateLimited(Some(60_000))));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept(&runs, Retry::default(), None).await;
    parked(&runs, id).await;
    let (run, _) = at_its_end(&world, &runs, id).await;
    assert_eq!(run.status, RunStatus::Diverged);
    let Some(Outcome::Trapped(why)) = run.outcome else { panic!("{run:?}") };
    assert!(why.contains("as step 0, call of crm.create with 0") && why.contains("with 1"), "{why}");
    assert_eq!(run.failure.unwrap().kind, "diverged");
}

/// Two at once of which one is asked to wait for long, a pause, one more call:
/// each fails twice.
fn three_that_fail() -> Arc<Fake> {
    let fake = Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        let mail = start(&effects, "mail", "send", "1").await?;
        let chat = start(&effects, "chat", "post", "2").await?;
        effects.wait(mail).await?.unwrap();
        effects.wait(chat).await?.unwrap();
        sleep(&effects, 1_000).await?;
        call(&effects, "crm", "create", "3").await
    });
    let seen: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    Arc::new(fake.endpoint(move |call| {
        let long = call.endpoint.as_str() == "send";
        let nth = {
            let mut seen = seen.lock();
            let count = seen.entry(call.idempotency_key).or_default();
            *count += 1;
            *count
        };
        async move {
            tokio::time::sleep(Duration::from_millis(if long { 3 } else { 5 })).await;
            let said =
                if long { CallError::RateLimited(Some(60_000)) } else { CallError::Retry("x".to_owned()) };
            let failed =
                Finished { outcome: Outcome::Declined(said), usage: Usage::default(), log: Vec::new() };
            Ok(if nth <= 2 { failed } else { answered("true") })
        }
    }))
}

/// What a person sees of the run, and what it used.
type Visible = (RunStatus, Option<Outcome<String>>, u64, Vec<(Effect, Outcome<String>, String)>);

fn visible((run, steps): &(Run, Vec<Step>)) -> Visible {
    let id = run.id.to_string();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (step.effect.clone(), step.outcome.clone(), step.idempotency_key.replace(&id, "run")))
        .collect();
    (run.status, run.outcome.clone(), run.usage.fuel, steps)
}

async fn calm() -> (Visible, u64) {
    let (world, fake) = (World::new(), three_that_fail());
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)));
    let runs = world.faulty(&store, &fake);
    let id = accept(&runs, Retry::default(), None).await;
    let seen = at_its_end(&world, &runs, id).await;
    assert_eq!(seen.0.status, RunStatus::Succeeded);
    assert_eq!(seen.1.iter().map(|step| step.tries.len()).collect::<Vec<_>>(), [2, 2, 0, 2]);
    assert_eq!(fake.calls.lock().len(), 9);
    nothing_left(&world, id).await;
    (visible(&seen), store.commits())
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_commit_of_backing_off_goes_on_with_the_tries_that_are_left() {
    let (calm, commits) = calm().await;
    for unsure in [false, true] {
        for last in 1..=commits {
            let (world, fake) = (World::new(), three_that_fail());
            let store = world.dies_after(last, unsure);
            let runs = world.faulty(&store, &fake);
            let accepted = runs.accept(vec![run_with(Retry::default(), None)], None).await;
            if let Ok(accepted) = accepted {
                passes(&world, &runs, accepted.runs[0]).await;
            }
            runs.kill().await;

            let runs = world.process(&fake);
            let id = runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs[0].id;
            runs.recover().await.unwrap();
            let seen = at_its_end(&world, &runs, id).await;
            assert_eq!(visible(&seen), calm, "death after commit {last}");
            let calls: Vec<_> = fake.calls.lock().clone();
            for step in &seen.1 {
                let times = calls.iter().filter(|call| call.idempotency_key == step.idempotency_key).count();
                let made = if times == 0 { 0 } else { step.tries.len() + 1 };
                assert!((made..=made + 1).contains(&times), "only what was going on was repeated: {times}");
            }
            nothing_left(&world, id).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_one_commit_of_backing_off_suffers_the_run_goes_on() {
    let (calm, commits) = calm().await;
    for fault in [Fault::Fail, Fault::Unsure, Fault::Delay(Duration::from_secs(5))] {
        for n in 2..=commits {
            let (world, fake) = (World::new(), three_that_fail());
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).with(n, fault));
            let runs = world.faulty(&store, &fake);
            let id = accept(&runs, Retry::default(), None).await;
            let seen = at_its_end(&world, &runs, id).await;
            assert_eq!(visible(&seen), calm, "{fault:?} at commit {n}");
            nothing_left(&world, id).await;
        }
    }
}

/// A run that is over its deadline of a minute, however it spends it.
async fn over_its_deadline(fake: Arc<Fake>, down: bool, calls: usize) -> (Run, Vec<Step>) {
    let world = World::new();
    let mut runs = world.process(&fake);
    let id = accept(&runs, Retry::default(), Some(MINUTE)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.clock.advance(MINUTE - Duration::from_millis(1));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let run = runs.get(&acme(), id).await.unwrap().unwrap();
    assert!(!run.status.is_over(), "not before: {run:?}");
    assert_eq!(run.deadline, Some(run.accepted_at + MINUTE));
    if down {
        runs.kill().await;
        world.clock.advance(MINUTE);
        runs = world.process(&fake);
        runs.recover().await.unwrap();
    } else {
        world.clock.advance(Duration::from_millis(1));
    }
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Failed);
    let Some(Outcome::Exceeded(Exceeded { bound: Bound::Deadline, limit: 60_000, used })) = run.outcome
    else {
        panic!("{run:?}")
    };
    assert_eq!(used, if down { 119_999 } else { 60_000 });
    let failure = run.failure.as_ref().unwrap();
    assert_eq!((failure.kind.as_str(), failure.deadline_ms), ("deadline", Some(60_000)));
    assert_eq!(fake.calls.lock().len(), calls);
    for prefix in [keys::all_pending(), keys::wakes()] {
        assert_eq!(world.inner.scan(&prefix, None, 9).await.unwrap().len(), 0);
    }
    (run, steps)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_over_its_deadline_ends_wherever_it_is() {
    for down in [false, true] {
        // Running.
        let fake = Arc::new(Fake::flow(|_, _| std::future::pending()));
        let (_, steps) = over_its_deadline(fake, down, 0).await;
        assert!(steps.is_empty());
        // In a call that does not end.
        if !down {
            let fake = Arc::new(one_call().endpoint(|_| std::future::pending()));
            let (run, steps) = over_its_deadline(fake, down, 1).await;
            assert!(matches!(steps[0].outcome, Outcome::Exceeded(Exceeded { bound: Bound::Deadline, .. })));
            assert_eq!(run.failure.unwrap().step.unwrap().kind, "deadline");
        }
        // Parked, for a time and for an event.
        for ms in [Some(90_000), None] {
            let fake = Arc::new(Fake::flow(move |_, effects: Arc<dyn Effects>| async move {
                let intent = match ms {
                    Some(ms) => Intent::Sleep { ms },
                    None => Intent::Event { name: "approved".to_owned(), timeout_ms: None },
                };
                let pending = effects.start(intent).await?;
                effects.wait(pending).await
            }));
            over_its_deadline(fake, down, 0).await;
        }
        // Parked between tries.
        let fake = failing(one_call(), 9, Outcome::Declined(CallError::RateLimited(Some(59_000))));
        let world = World::new();
        let runs = world.process(&fake);
        let retry = Retry { first_ms: 1, longest_ms: 1, ..Retry::default() };
        let id = accept(&runs, retry, Some(MINUTE)).await;
        parked(&runs, id).await;
        if down {
            runs.kill().await;
        }
        world.clock.advance(2 * MINUTE);
        let runs = if down { world.process(&fake) } else { runs };
        runs.recover().await.unwrap();
        let (run, _) = runs.ended(&acme(), id).await;
        let failure = run.failure.unwrap();
        assert_eq!((failure.kind.as_str(), fake.calls.lock().len()), ("deadline", 1));
        let step = failure.step.unwrap();
        assert_eq!((step.number, step.tries, step.kind.as_str()), (0, 1, "rate-limited"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_backing_off_in_memory_at_its_deadline_keeps_its_tries() {
    let fake = Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        let call = start(&effects, "crm", "create", "1").await?;
        let slow = start(&effects, "mail", "send", "1").await?;
        effects.wait(slow).await?.unwrap();
        effects.wait(call).await
    });
    let fake = Arc::new(fake.endpoint(|call| async move {
        if call.endpoint.as_str() == "send" {
            std::future::pending::<()>().await;
        }
        Ok(says(Outcome::Declined(CallError::RateLimited(Some(50_000)))))
    }));
    let (run, steps) = over_its_deadline(fake, false, 3).await;
    assert_eq!(steps.len(), 2);
    assert_eq!(steps[0].tries.len(), 1, "{:?}", steps[0]);
    let why = steps[0].gave_up.as_deref().unwrap();
    assert!(why.contains("deadline"), "{why}");
    assert_eq!(run.failure.unwrap().retries, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_in_time_hears_nothing_of_its_deadline_and_a_replay_has_a_new_one() {
    let fake = Arc::new(Fake::flow(|_, effects: Arc<dyn Effects>| async move {
        sleep(&effects, 30_000).await?;
        Ok(Err(CallError::Permanent("no".to_owned())))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept(&runs, Retry::default(), Some(MINUTE)).await;
    let (run, _) = at_its_end(&world, &runs, id).await;
    assert_eq!(run.failure.unwrap().kind, "permanent");
    nothing_left(&world, id).await;
    world.clock.advance(10 * MINUTE);
    let again = Replay {
        from: From::Start,
        on: On::Pinned,
        input: None,
        dry: false,
        by: By::default(),
        request: None,
        unless_replayed: false,
    };
    let again = runs.replay(&acme(), id, again).await.unwrap().run;
    let now = world.clock.now();
    assert_eq!(parked(&runs, again).await.deadline, Some(now + MINUTE));
}
