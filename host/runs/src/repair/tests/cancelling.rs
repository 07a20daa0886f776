//! Cancelling, and undoing what was done.

use std::collections::BTreeMap;

use host_model::digest::Digest;
use host_model::outcome::{CallError, Outcome, Usage};
use host_store::Commit;
use host_store::Store as _;
use host_store::faults::FaultyStore;

use super::super::Action;
use super::*;
use crate::record::{Did, Payload, StepRecord};
use crate::shelf::as_json;

/// A run that called once and is paused in its second call, and whose workflow
/// named three calls that undo it.
async fn paused_with_three_named(world: &World, fake: &Arc<Fake>, began: &Notify) -> RunId {
    let runs = world.process(fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap();
    runs.kill().await;
    for (number, input) in [(1, "\"undo a\""), (2, "\"undo b\""), (3, "\"undo c\"")] {
        let (mut record, version) = runs.shelf.record(&acme(), id).await.unwrap().unwrap();
        let at = record.accepted_at;
        let step = StepRecord {
            number,
            completed: record.steps,
            did: Did::OnCancel {
                role: "crm".to_owned(),
                endpoint: "update".to_owned(),
                input: Payload::Here(input.to_owned()),
            },
            asked: Digest::of(input.as_bytes()),
            idempotency_key: String::new(),
            started_at: at,
            finished_at: at,
            outcome: as_json(&Outcome::Answered("null".to_owned())).unwrap(),
            usage: Usage::default(),
            log: Payload::Here("[]".to_owned()),
            tries: Vec::new(),
            gave_up: None,
            place: None,
        };
        record.steps += 1;
        let commit = runs.shelf.with_steps(&record, Commit::default(), [step]).await.unwrap();
        runs.shelf.write_record_and(&mut record, version, commit).await.unwrap();
    }
    fake.calls.lock().clear();
    id
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_undoes_last_first_what_its_workflow_named() {
    let (fake, began, _) = held_in_the_middle();
    let world = World::new();
    let id = paused_with_three_named(&world, &fake, &began).await;
    let runs = world.process(&fake);
    runs.intervene(&acme(), id, Action::Cancel, ada()).await.unwrap();
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Cancelled);
    let outcome = CallError::Permanent("cancelled by ada; 3 calls undid what it had done".to_owned());
    assert_eq!(run.outcome, Some(Outcome::Declined(outcome)));
    assert_eq!(inputs(&fake), ["\"undo c\"", "\"undo b\"", "\"undo a\""]);
    assert_eq!(steps.len(), 4 + 3, "each is a step");
    let keys: std::collections::BTreeSet<_> = steps.iter().map(|step| &step.idempotency_key).collect();
    assert_eq!(keys.len(), 1 + 1 + 3, "with a key of its own");
    assert!(world.inner.scan(&crate::keys::all_pending(), None, 9).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_in_memory_is_halted_before_it_is_undone() {
    let (fake, began, go) = held_in_the_middle();
    let runs = World::new().process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.intervene(&acme(), id, Action::Cancel, ada()).await.unwrap();
    breathe().await;
    assert_eq!(runs.get(&acme(), id).await.unwrap().unwrap().status, RunStatus::Cancelling);
    go.notify_one();
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Cancelled, 2), "the call that went on is recorded");
    assert_eq!(inputs(&fake), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_is_named_and_the_rest_is_undone() {
    let (fake, began, _) = held_in_the_middle();
    let fake = Arc::into_inner(fake).unwrap();
    let inner = fake.endpoint;
    let fake = Arc::new(Fake {
        endpoint: Box::new(move |call| {
            if call.input.contains("undo b") {
                let no = Outcome::Declined(CallError::Permanent("the lead was sold".to_owned()));
                return Box::pin(
                    async move { Ok(host_model::outcome::Finished { outcome: no, ..answered("") }) },
                );
            }
            inner(call)
        }),
        ..fake
    });
    let world = World::new();
    let id = paused_with_three_named(&world, &fake, &began).await;
    let runs = world.process(&fake);
    runs.intervene(&acme(), id, Action::Cancel, ada()).await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Failed);
    let Some(Outcome::Declined(CallError::Permanent(text))) = run.outcome else { panic!("{run:?}") };
    for want in ["cancelled by ada; 2 calls", "step 2, on cancel, call of crm.update with \"undo b\"", "sold"]
    {
        assert!(text.contains(want), "`{want}` in {text}");
    }
    assert_eq!(inputs(&fake), ["\"undo c\"", "\"undo b\"", "\"undo a\""]);
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_commit_of_a_cancellation_undoes_everything_all_the_same() {
    for last in 0..=6 {
        let (fake, began, _) = held_in_the_middle();
        let world = World::new();
        let id = paused_with_three_named(&world, &fake, &began).await;
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(last));
        let runs = world.faulty(&store, &fake);
        let _ = runs.intervene(&acme(), id, Action::Cancel, ada()).await; // it may not live to tell
        for _ in 0..100 {
            breathe().await;
        }
        runs.kill().await;

        let runs = world.process(&fake);
        runs.recover().await.unwrap();
        if last == 0 {
            assert_eq!(runs.get(&acme(), id).await.unwrap().unwrap().status, RunStatus::Paused);
            continue;
        }
        let (run, steps) = runs.ended(&acme(), id).await;
        assert_eq!((run.status, steps.len()), (RunStatus::Cancelled, 7), "death after commit {last}");
        let mut times = BTreeMap::new();
        for call in fake.calls.lock().iter() {
            *times.entry((call.idempotency_key.clone(), call.input.clone())).or_insert(0) += 1;
        }
        assert_eq!(times.len(), 3, "each under one key: {times:?}");
        assert!(times.values().filter(|times| **times > 1).count() <= 1, "only what was going on: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_being_cancelled_can_still_be_terminated() {
    let (fake, began, _) = held_in_the_middle();
    let runs = World::new().process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.intervene(&acme(), id, Action::Cancel, ada()).await.unwrap();
    let run = runs.intervene(&acme(), id, Action::Terminate, ada()).await.unwrap();
    assert_eq!(run.status, RunStatus::Terminated);
    breathe().await;
    assert_eq!(runs.ended(&acme(), id).await.1.len(), 1);
}
