//! Several workers on one store.

use std::collections::BTreeMap;

use host_model::clock::SimClock;
use host_store::Store as _;

use super::*;
use crate::Settings;

const LEASE: Duration = Duration::from_secs(15);

/// A worker on the store, with a clock of its own.
async fn worker(world: &World, clock: &SimClock, fake: &Arc<Fake>) -> Arc<Runs> {
    let settings = Settings { exclusive: false, lease: LEASE, ..Settings::default() };
    let world = World { clock: clock.clone(), ..world.clone() };
    let runs = world.process_on(Arc::clone(&world.inner) as _, fake, settings);
    runs.recover().await.unwrap();
    runs
}

/// Moves the clock as renewals need it.
async fn pass(clock: &SimClock, lease_times: u32) {
    for _ in 0..lease_times * 3 {
        clock.advance(LEASE / 3);
        for _ in 0..10 {
            breathe().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_live_worker_has_is_left_alone() {
    let (fake, began, go) = held_in_the_middle();
    let world = World::new();
    let first = worker(&world, &world.clock, &fake).await;
    let id = accept_one(&first).await;
    soon(began.notified()).await;
    let second = worker(&world, &world.clock, &fake).await;
    pass(&world.clock, 5).await;
    second.find_pending().await.unwrap();
    breathe().await;
    assert_eq!(inputs(&fake), ["1", "2"]);
    go.notify_one();
    let (run, _) = second.ended(&acme(), id).await;
    assert_eq!((run.status, run.attempts), (RunStatus::Succeeded, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_worker_loses_its_run_and_its_late_write_is_refused() {
    let (slow, began, go) = held_in_the_middle();
    let (quick, _, let_go) = held_in_the_middle();
    let world = World::new();
    let stands_still = SimClock::at(host_model::clock::Clock::now(&world.clock));
    let first = worker(&world, &stands_still, &slow).await;
    let id = accept_one(&first).await;
    soon(began.notified()).await;

    let second = worker(&world, &world.clock, &quick).await;
    pass(&world.clock, 2).await;
    assert_eq!(inputs(&quick), ["2"], "it was taken over, and what was not recorded is done again");
    assert_eq!(quick.calls.lock()[0].idempotency_key, slow.calls.lock()[1].idempotency_key);

    go.notify_one(); // the stalled worker wakes up, with an answer that it cannot record
    for _ in 0..1_000 {
        breathe().await;
    }
    assert_eq!(second.steps(&acme(), id, None).await.unwrap().steps.len(), 1);
    assert_eq!(inputs(&slow), ["1", "2"], "it dropped its attempt");
    let_go.notify_one();
    let (run, steps) = second.ended(&acme(), id).await;
    assert_eq!((run.status, run.attempts, steps.len()), (RunStatus::Succeeded, 2, 3));
    assert_eq!(inputs(&quick), ["2", "3"]);

    // It is alive after all: it gets its lease again, and takes new runs.
    stands_still.set(host_model::clock::Clock::now(&world.clock));
    for _ in 0..10 {
        breathe().await;
    }
    assert_eq!(world.inner.scan(&crate::keys::leases(), None, 9).await.unwrap().len(), 2);
    go.notify_one();
    let id = accept_one(&first).await;
    assert_eq!(first.ended(&acme(), id).await.0.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_in_good_order_hands_its_runs_over_at_once() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        sleep(&effects, 5_000).await?;
        Ok(Ok("true".to_owned()))
    }));
    let world = World::new();
    let first = worker(&world, &world.clock, &fake).await;
    let second = worker(&world, &world.clock, &fake).await;
    let id = accept_one(&first).await;
    breathe().await;
    assert!(first.drain(LONG).await);
    pass(&world.clock, 5).await;
    let (run, _) = second.ended(&acme(), id).await;
    assert_eq!((run.status, run.attempts), (RunStatus::Succeeded, 2));
    assert_eq!(world.inner.scan(&crate::keys::leases(), None, 9).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_only_process_of_a_store_waits_for_nobodys_lease() {
    let (fake, began, go) = held_in_the_middle();
    let world = World::new();
    let first = worker(&world, &world.clock, &fake).await;
    let id = accept_one(&first).await;
    soon(began.notified()).await;
    first.kill().await;

    let alone = world.process(&fake);
    alone.recover().await.unwrap();
    assert!(world.inner.scan(&crate::keys::leases(), None, 9).await.unwrap().is_empty());
    soon(began.notified()).await;
    go.notify_one();
    assert_eq!(alone.ended(&acme(), id).await.0.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn two_workers_under_load_do_each_step_once() {
    let fake = Arc::new(Fake::flow(six_steps).endpoint(|call| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(answered(format!("{{\"did\":{}}}", call.input)))
    }));
    let world = World::new();
    let workers = [worker(&world, &world.clock, &fake).await, worker(&world, &world.clock, &fake).await];
    let mut ids = Vec::new();
    for n in 0..200 {
        ids.push(accept_one(&workers[n % 2]).await);
        if n % 20 == 0 {
            world.clock.advance(LEASE / 3);
            workers[(n + 1) % 2].find_pending().await.unwrap();
        }
    }
    for id in ids {
        let (run, steps) = workers[0].ended(&acme(), id).await;
        assert_eq!((run.status, run.attempts, steps.len()), (RunStatus::Succeeded, 1, 6));
    }
    let mut times = BTreeMap::new();
    fake.calls.lock().iter().for_each(|call| *times.entry(call.idempotency_key.clone()).or_insert(0) += 1);
    assert_eq!(times.len(), 200 * 5);
    assert!(times.values().all(|times| *times == 1), "each step was done once");
}

#[tokio::test(start_paused = true)]
async fn workers_that_stall_and_die_at_random_lose_no_run_and_record_each_step_once() {
    let mut taken_over = 0;
    for seed in 0..20_u64 {
        let mut random = <chacha20::ChaCha20Rng as chacha20::rand_core::SeedableRng>::seed_from_u64(seed);
        let mut below = |most: u64| chacha20::rand_core::Rng::next_u64(&mut random) % most;
        let delays: Vec<u64> = (0..7).map(|_| below(2_000)).collect();
        let fake = Arc::new(Fake::flow(six_steps).endpoint(move |call| {
            let delay =
                delays[call.idempotency_key.len() * 31 % 7] + u64::from(call.idempotency_key.as_bytes()[28]);
            async move {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                Ok(answered(format!("{{\"did\":{}}}", call.input)))
            }
        }));
        let world = World::new();
        let mut workers = Vec::new();
        for _ in 0..3 {
            // Each has a clock of its own: one that is not moved stalls.
            let clock = SimClock::at(host_model::clock::Clock::now(&world.clock));
            workers.push((worker(&world, &clock, &fake).await, clock));
        }
        let mut ids = Vec::new();
        for _ in 0..60 {
            let who = usize::try_from(below(3)).unwrap();
            if ids.len() < 12 {
                ids.push(accept_one(&workers[who].0).await);
            }
            world.clock.advance(LEASE / 3);
            for (n, (_, clock)) in workers.iter().enumerate() {
                // The last one never stalls, so somebody is there for every run.
                if n == 2 || below(4) > 0 {
                    clock.set(host_model::clock::Clock::now(&world.clock));
                }
            }
            if below(20) == 0 {
                let (dead, _) = workers.remove(0);
                dead.kill().await;
                let clock = SimClock::at(host_model::clock::Clock::now(&world.clock));
                workers.insert(0, (worker(&world, &clock, &fake).await, clock));
            }
            tokio::time::sleep(Duration::from_millis(below(300))).await;
        }
        for _ in 0..40 {
            world.clock.advance(LEASE / 3);
            workers.iter().for_each(|(_, clock)| clock.set(host_model::clock::Clock::now(&world.clock)));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for id in ids {
            let (run, steps) = workers[2].0.ended(&acme(), id).await;
            assert_eq!(run.status, RunStatus::Succeeded, "seed {seed}: {:?}", run.outcome);
            taken_over += run.attempts - 1;
            let mut order: Vec<_> = steps.iter().map(|step| step.completed).collect();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4, 5], "seed {seed}");
        }
    }
    assert!(taken_over > 20, "too calm: {taken_over} runs were taken over");
}
