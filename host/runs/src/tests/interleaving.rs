//! Whatever order parallel calls end in, before and after a crash, a workflow
//! sees one history.

use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{Effects, Pending};
use host_model::outcome::Outcome;
use host_model::run::Step;
use host_store::faults::FaultyStore;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::world::*;

type Seen = Arc<Mutex<Vec<Vec<usize>>>>;

/// Starts as many calls as there are delays and asks which comes first until
/// all have. Notes what it was told, attempt by attempt.
fn racing(delays: Vec<u64>, seen: &Seen) -> Arc<Fake> {
    let (count, seen) = (delays.len(), Arc::clone(seen));
    let fake = Fake::flow(move |_, effects: Arc<dyn Effects>| {
        let seen = Arc::clone(&seen);
        async move {
            let attempt = seen.lock().len();
            seen.lock().push(Vec::new());
            let mut left = Vec::new();
            for n in 0..count {
                left.push((n, start(&effects, "chat", "post", n.to_string()).await?));
            }
            while !left.is_empty() {
                let pending: Vec<Pending> = left.iter().map(|(_, pending)| *pending).collect();
                let (first, pending) = left.remove(effects.wait_any(pending).await?);
                effects.wait(pending).await?.unwrap();
                seen.lock()[attempt].push(first);
            }
            let order = seen.lock()[attempt].clone();
            Ok(Ok(format!("{order:?}")))
        }
    });
    Arc::new(fake.endpoint(move |call| {
        let n: usize = call.input.parse().unwrap();
        let delay = Duration::from_millis(delays[n]);
        async move {
            tokio::time::sleep(delay).await;
            Ok(answered(call.input))
        }
    }))
}

fn order(mut steps: Vec<Step>) -> Vec<usize> {
    steps.sort_by_key(|step| step.completed);
    steps.iter().map(|step| step.number as usize).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_replay_sees_the_same_calls_come_first(
        (before, after) in (2..6_usize).prop_flat_map(|count| {
            // Few different delays, so that several end at once.
            let delays = || proptest::collection::vec(0..4_u64, count);
            (delays(), delays())
        }),
        dies_after in 1..8_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (world, seen) = (World::new(), Seen::default());
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(dies_after));
            let first = racing(before, &seen);
            let runs = world.faulty(&store, &first);
            let id = accept_one(&runs).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            runs.kill().await;

            let lives = seen.lock().len();
            let second = racing(after, &seen);
            let runs = world.process(&second);
            runs.recover().await.unwrap();
            let (run, steps) = runs.ended(&acme(), id).await;
            let history = order(steps);
            assert_eq!(run.outcome, Some(Outcome::Answered(format!("{history:?}"))));
            for (attempt, told) in seen.lock().iter().enumerate() {
                assert!(history.starts_with(told), "attempt {attempt} of {lives}+1: {told:?} of {history:?}");
            }
        });
    }
}
