//! Whatever makes a run asks for room first: for the run and for all its bytes.

use std::sync::Arc;

use host_model::id::RunId;
use host_model::run::{StartedBy, Tested};

use super::world::*;
use crate::repair::{From, ReplayError};
use crate::{AcceptError, Filter, Runs, StepTest, StepTestError};

/// Over what a value of the store may have.
const LARGE: usize = 70_000;

fn test() -> StepTest {
    StepTest {
        workflow: workflow_of(&acme(), "lead-intake", LONG),
        input: None,
        tested: Tested { step: None, to_end: false, live: false },
        answers: [("crm.create".to_owned(), "1".to_owned())].into(),
        errors: Default::default(),
        of: None,
    }
}

/// What a run of a large message asks of the outside.
fn fake() -> Arc<Fake> {
    Arc::new(Fake::flow(|run, effects| async move { call(&effects, "crm", "create", run.input.data).await }))
}

async fn large(runs: &Arc<Runs>) -> Result<RunId, AcceptError> {
    let data = format!("\"{}\"", "x".repeat(LARGE));
    Ok(runs.accept(vec![new_run_of(&acme(), "lead-intake", &data)], None).await?.runs[0])
}

#[tokio::test(start_paused = true)]
async fn a_run_a_replay_and_a_test_each_take_the_room_of_one_run_and_of_what_it_keeps() {
    let fake = fake();
    let runs = World::new().process(&fake);
    let (run, _) = runs.ended(&acme(), large(&runs).await.unwrap()).await;
    let again = runs.replay(&acme(), run.id, replay(From::Start)).await.unwrap().run;
    runs.ended(&acme(), again).await;
    let tested = runs.test(StepTest { of: Some(run.id), ..test() }).await.unwrap();
    runs.ended(&acme(), tested).await;
    let booked = fake.booked.lock();
    assert_eq!(booked.len(), 3);
    assert!(booked.iter().all(|bytes| *bytes > LARGE as u64), "{booked:?}");
}

#[tokio::test(start_paused = true)]
async fn without_room_nothing_new_is_there_and_what_was_is_as_it_was() {
    let fake = fake();
    let runs = World::new().process(&fake);
    *fake.room.lock() = Some(1);
    let (run, _) = runs.ended(&acme(), large(&runs).await.unwrap()).await;
    assert!(matches!(large(&runs).await, Err(AcceptError::NoRoom(_))));
    for from in [From::Start, From::Step(0)] {
        let refused = runs.replay(&acme(), run.id, replay(from)).await;
        assert!(matches!(refused, Err(ReplayError::NoRoom(_))), "{refused:?}");
    }
    let refused = runs.test(test()).await;
    assert!(matches!(refused, Err(StepTestError::NoRoom(_))), "{refused:?}");
    let listed = runs.list(&acme(), &Filter::default(), None, 10).await.unwrap();
    assert_eq!(listed.runs.len(), 1);
    assert_eq!(runs.ended(&acme(), run.id).await.0, run);
    assert_eq!(run.started_by, StartedBy::Manual(None));
}
