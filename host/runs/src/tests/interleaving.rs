//! Whatever order parallel calls end in, before and after a crash, the outside
//! sees one history. (What a workflow saw and nobody else, a crash may undo.)

use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{Effects, Pending};
use host_model::outcome::Outcome;
use host_model::run::Step;
use host_store::faults::FaultyStore;
use proptest::prelude::*;

use super::world::*;

/// Starts as many calls as there are delays and asks which comes first until
/// all have. Each time, it tells the outside the order so far.
fn racing(delays: Vec<u64>) -> Arc<Fake> {
    let count = delays.len();
    let fake = Fake::flow(move |_, effects: Arc<dyn Effects>| async move {
        let mut left = Vec::new();
        for n in 0..count {
            left.push((n, start(&effects, "chat", "post", n.to_string()).await?));
        }
        let (mut told, mut order) = (Vec::new(), Vec::new());
        while !left.is_empty() {
            let pending: Vec<Pending> = left.iter().map(|(_, pending)| *pending).collect();
            let (first, pending) = left.remove(effects.wait_any(pending).await?);
            effects.wait(pending).await?.unwrap();
            order.push(first);
            told.push(start(&effects, "mail", "send", format!("{order:?}")).await?);
        }
        for pending in told {
            effects.wait(pending).await?.unwrap();
        }
        Ok(Ok(format!("{order:?}")))
    });
    Arc::new(fake.endpoint(move |call| {
        let delay = call.input.parse().map_or(Duration::ZERO, |n: usize| Duration::from_millis(delays[n]));
        async move {
            tokio::time::sleep(delay).await;
            Ok(answered(call.input))
        }
    }))
}

/// In which order the first steps were done.
fn order(mut steps: Vec<Step>, count: usize) -> Vec<usize> {
    steps.sort_by_key(|step| step.completed);
    steps.iter().map(|step| step.number as usize).filter(|number| *number < count).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_outside_is_never_told_of_two_orders(
        (before, after) in (2..6_usize).prop_flat_map(|count| {
            // Few different delays, so that several end at once.
            let delays = || proptest::collection::vec(0..4_u64, count);
            (delays(), delays())
        }),
        dies_after in 1..12_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            let count = before.len();
            let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(dies_after));
            let first = racing(before);
            let runs = world.faulty(&store, &first);
            let id = accept_one(&runs).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            runs.kill().await;

            let second = racing(after);
            let runs = world.process(&second);
            runs.recover().await.unwrap();
            let (run, steps) = runs.ended(&acme(), id).await;
            let mut completed: Vec<_> = steps.iter().map(|step| step.completed).collect();
            completed.sort_unstable();
            assert_eq!(completed, (0..2 * count as u32).collect::<Vec<_>>(), "one order, without a gap");
            let history = order(steps, count);
            assert_eq!(run.outcome, Some(Outcome::Answered(format!("{history:?}"))));
            for call in first.calls.lock().iter().chain(second.calls.lock().iter()) {
                let Some(length) = call.input.strip_prefix('[').map(|told| told.split(',').count()) else { continue };
                assert_eq!(call.input, format!("{:?}", &history[..length]), "in either life");
            }
        });
    }
}
