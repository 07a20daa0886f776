//! What a workflow may do, and what its journal makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use host_model::effects::Effects;
use host_model::outcome::{Bound, CallError, Exceeded, Outcome};
use host_model::run::{Effect, RunStatus};
use host_store::Store as _;
use host_store::faults::FaultyStore;
use parking_lot::Mutex;

use super::world::*;
use crate::{HostFailure, NewRun};

/// Runs `fake` so that the process dies after this many commits, and on to the end in a second one.
async fn twice(
    fake: &Arc<Fake>,
    dies_after: u64,
) -> (host_model::run::Run, Vec<host_model::run::Step>, World) {
    let world = World::new();
    let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(dies_after));
    let runs = world.faulty(&store, fake);
    let id = accept_one(&runs).await;
    // Steps that end together share a commit, so it may come to its end before.
    while !store.is_dead() && !runs.get(&acme(), id).await.is_ok_and(|run| run.unwrap().status.is_over()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    runs.kill().await;
    world.clock.advance(Duration::from_secs(3_600));
    let runs = world.process(fake);
    runs.recover().await.unwrap();
    let (run, steps) = runs.ended(&acme(), id).await;
    (run, steps, world)
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_asks_for_something_else_is_parked_and_both_are_shown() {
    let life = Arc::new(AtomicUsize::new(0));
    let fake = {
        let life = Arc::clone(&life);
        Arc::new(Fake::flow(move |_, effects: Arc<dyn Effects>| {
            let life = life.fetch_add(1, Ordering::SeqCst);
            async move {
                call(&effects, "crm", "create", format!("\"life {}\"", life.min(1))).await?.unwrap();
                call(&effects, "mail", "send", "1").await
            }
        }))
    };
    let (run, steps, _) = twice(&fake, 2).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Diverged, 1));
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("as step 0, call of crm.create with \"life 0\""), "{text}");
    assert!(text.contains("this time it asked for call of crm.create with \"life 1\""), "{text}");
    assert_eq!(fake.calls.lock().iter().filter(|call| call.endpoint.as_str() == "create").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_workflow_that_ends_before_its_journal_does_is_parked() {
    let life = Arc::new(AtomicUsize::new(0));
    let fake = {
        Arc::new(Fake::flow(move |_, effects: Arc<dyn Effects>| {
            let life = life.fetch_add(1, Ordering::SeqCst);
            async move {
                for _ in life..2 {
                    call(&effects, "chat", "post", "1").await?.unwrap();
                }
                Ok(Ok("1".to_owned()))
            }
        }))
    };
    let (run, _, _) = twice(&fake, 3).await;
    assert_eq!(run.status, RunStatus::Diverged);
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("as step 1, call of chat.post with 1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn time_and_randomness_are_the_same_at_every_replay() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fake = {
        let seen = Arc::clone(&seen);
        Arc::new(Fake::flow(move |_, effects: Arc<dyn Effects>| {
            let seen = Arc::clone(&seen);
            let look = move |effects: &Arc<dyn Effects>| {
                let mut random = [0; 7];
                effects.fill_random(&mut random);
                seen.lock().push((effects.now(), random));
            };
            async move {
                look(&effects);
                call(&effects, "chat", "post", "1").await?.unwrap();
                look(&effects);
                call(&effects, "chat", "post", "2").await
            }
        }))
    };
    let (run, steps, _) = twice(&fake, 2).await;
    let seen = seen.lock();
    let (first, last) = (&seen[..2], &seen[seen.len() - 2..]);
    assert_eq!(first, last);
    assert_eq!(first[0].0, run.accepted_at);
    assert_eq!(first[1].0, steps[0].finished_at);
    assert_ne!(first[0].1, first[1].1);
    assert!(steps[1].finished_at > steps[0].finished_at, "the clock itself went on");
}

#[tokio::test(start_paused = true)]
async fn what_the_manifest_does_not_name_is_not_found_and_nobody_is_called() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for (role, endpoint) in [("erp", "create"), ("crm", "drop")] {
            let error = call(&effects, role, endpoint, "1").await?.unwrap_err();
            assert!(matches!(error, CallError::NotFound(_)), "{error}");
        }
        Ok(Ok("1".to_owned()))
    }));
    let (world, fake) = (World::new(), fake);
    let runs = world.process(&fake);
    let (run, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 2), "{run:?}");
    assert!(fake.calls.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_asks_for_the_impossible_waits_until_some_of_it_is_written() {
    let world = World::new();
    let store = world.inner.clone();
    let fake = Arc::new(Fake::flow(move |run, effects: Arc<dyn Effects>| {
        let store = Arc::clone(&store);
        async move {
            for _ in 0..crate::tail::MAX_BATCH {
                start(&effects, "erp", "create", "1").await?;
            }
            let written = store.scan(&crate::keys::steps(&run.tenant, run.id), None, 99).await.unwrap().len();
            Ok(Ok(written.to_string()))
        }
    }));
    let runs = world.process(&fake);
    let (run, _) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!(run.outcome, Some(Outcome::Answered(crate::tail::MAX_BATCH.to_string())));
}

#[tokio::test(start_paused = true)]
async fn the_sixty_fifth_call_at_once_is_refused_and_the_replay_knows() {
    let fake = Fake::flow(|_, effects| async move {
        let mut pending = Vec::new();
        for n in 0..66 {
            pending.push(start(&effects, "chat", "post", n.to_string()).await?);
        }
        let mut refused = Vec::new();
        for (n, pending) in pending.into_iter().enumerate() {
            if let Err(CallError::Permanent(_)) = effects.wait(pending).await? {
                refused.push(n);
            }
        }
        Ok(Ok(format!("{refused:?}")))
    });
    let fake = Arc::new(fake.endpoint(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(answered("1"))
    }));
    let (run, steps, _) = twice(&fake, 10).await;
    assert_eq!(run.outcome, Some(Outcome::Answered("[64, 65]".to_owned())));
    assert_eq!((steps.len(), steps[64].completed, steps[65].completed), (66, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_never_ends_ends_at_the_bound_on_steps() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        loop {
            sleep(&effects, 0).await?;
        }
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let run = runs.wait(&acme(), id, LONG).await.unwrap().unwrap();
    assert_eq!((run.status, run.steps), (RunStatus::Failed, 10_000));
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("more than 10000 steps"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waited_for_is_recorded_before_the_end() {
    let fake = Fake::flow(|_, effects| async move {
        start(&effects, "chat", "post", "1").await?;
        Ok(Ok("1".to_owned()))
    });
    let fake = Arc::new(fake.endpoint(|_| async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok(answered("2"))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let (run, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!(run.status, RunStatus::Succeeded);
    assert_eq!(steps[0].outcome, Outcome::Answered("2".to_owned()));

    let brief = NewRun { workflow: workflow_of(&acme(), "w", Duration::from_secs(10)), ..new_run() };
    let id = runs.accept(vec![brief], None).await.unwrap().runs[0];
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Succeeded);
    let cut = Exceeded { bound: Bound::WallTime, limit: 10_000, used: 10_000 };
    assert_eq!(steps[0].outcome, Outcome::Exceeded(cut), "the run's time bounds that");
}

#[tokio::test(start_paused = true)]
async fn a_failure_or_a_panic_of_the_host_is_tried_again_and_never_shown() {
    let tries = Arc::new(AtomicUsize::new(0));
    let flow_tries = Arc::clone(&tries);
    let fake = Fake::flow(move |_, effects: Arc<dyn Effects>| {
        assert!(flow_tries.fetch_add(1, Ordering::SeqCst) > 0, "a bug in the host");
        async move { call(&effects, "chat", "post", "1").await }
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let fake = Arc::new(fake.endpoint(move |_| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        async move {
            match n {
                0 => Err(HostFailure("no sandbox left".to_owned())),
                1 => panic!("another bug"),
                _ => Ok(answered("2")),
            }
        }
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let (run, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!(run.outcome, Some(Outcome::Answered("2".to_owned())));
    assert_eq!((steps.len(), run.attempts), (1, 2));
    let calls = fake.calls.lock();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.idempotency_key == format!("{}-0", run.id)));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_keeps_failing_leaves_the_run_for_the_next_start() {
    let broken = Fake::flow(|_, effects| async move { call(&effects, "chat", "post", "1").await });
    let broken = Arc::new(broken.endpoint(|_| async { Err(HostFailure("no sandbox".to_owned())) }));
    let world = World::new();
    let runs = world.process(&broken);
    let id = accept_one(&runs).await;
    let run = runs.wait(&acme(), id, Duration::from_secs(3_600)).await.unwrap().unwrap();
    assert_eq!(run.status, RunStatus::Accepted);
    assert_eq!(broken.calls.lock().len(), 4 * 10, "each attempt at the run tries the call four times");
    assert!(runs.drain(LONG).await);

    let fake = Arc::new(Fake::flow(|_, effects| async move { call(&effects, "chat", "post", "1").await }));
    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    assert_eq!(runs.ended(&acme(), id).await.0.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_sleep_is_of_the_runs_clock_and_recorded() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        sleep(&effects, 5_000).await?;
        Ok(Ok(effects.now().timestamp_millis().to_string()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let asleep = runs.wait(&acme(), id, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(asleep.status, RunStatus::Accepted);
    world.clock.advance(Duration::from_secs(6));
    let (run, steps) = runs.ended(&acme(), id).await;
    let now = (run.accepted_at + Duration::from_secs(6)).timestamp_millis();
    assert_eq!(run.outcome, Some(Outcome::Answered(now.to_string())));
    assert_eq!(steps[0].effect, Effect::Sleep { ms: 5_000 });

    let id = accept_one(&runs).await;
    runs.wait(&acme(), id, Duration::from_secs(60)).await.unwrap();
    runs.kill().await;
    world.clock.advance(Duration::from_secs(6));
    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Succeeded, "a crash does not make it start over");
}

#[tokio::test(start_paused = true)]
async fn answers_too_large_to_keep_are_read_back() {
    let fake = Fake::flow(|_, effects| async move {
        let mut pending = Vec::new();
        for n in 0..8 {
            pending.push(start(&effects, "chat", "post", n.to_string()).await?);
        }
        let mut sizes = Vec::new();
        for pending in pending {
            sizes.push(effects.wait(pending).await?.unwrap().len());
        }
        Ok(Ok(format!("{sizes:?}")))
    });
    let fake = Arc::new(fake.endpoint(|call| async move {
        let n: usize = call.input.parse().unwrap();
        Ok(answered("1".repeat((n + 1) * 100_000)))
    }));
    let (run, _, _) = twice(&fake, 6).await;
    let sizes: Vec<_> = (1..=8).map(|n| n * 100_000).collect();
    assert_eq!(run.outcome, Some(Outcome::Answered(format!("{sizes:?}"))));
}
