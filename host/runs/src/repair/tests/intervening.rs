//! Pausing, resuming and terminating.

use host_model::outcome::{CallError, Outcome};
use host_store::Store as _;

use super::super::{Action, InterveneError, Unfit};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_paused_run_records_what_goes_on_and_does_no_more_until_it_is_resumed() {
    let (fake, began, go) = held_in_the_middle();
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    let run = runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap();
    assert_eq!(run.status, RunStatus::Paused);
    assert_eq!((run.interventions[0].what.as_str(), run.interventions[0].who.as_str()), ("paused", "ada"));
    assert_eq!(run.interventions[0].why, "the CRM was down");
    go.notify_one();
    for _ in 0..100 {
        breathe().await;
    }
    assert_eq!(
        runs.steps(&acme(), id, None).await.unwrap().steps.len(),
        2,
        "the call that went on is recorded"
    );
    assert!(world.inner.scan(&crate::keys::all_pending(), None, 9).await.unwrap().is_empty());

    let again = runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap_err();
    assert_eq!(again.to_string(), format!("cannot pause {id}: it is paused already"));
    assert_eq!(inputs(&fake), ["1", "2"], "nothing else was done");

    runs.intervene(&acme(), id, Action::Resume, ada()).await.unwrap();
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len(), run.attempts), (RunStatus::Succeeded, 3, 2));
    assert_eq!(inputs(&fake), ["1", "2", "3"], "nothing was done twice");
    let what: Vec<_> = run.interventions.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(what, ["paused", "resumed"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_resumed_while_its_attempt_still_leaves_goes_on() {
    let (fake, began, go) = held_in_the_middle();
    let runs = World::new().process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap();
    runs.intervene(&acme(), id, Action::Resume, ada()).await.unwrap();
    breathe().await;
    go.notify_one();
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 3));
    assert_eq!(inputs(&fake), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_stays_paused_over_a_restart() {
    let (fake, began, _) = held_in_the_middle();
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap();
    runs.kill().await;

    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    breathe().await;
    assert_eq!(inputs(&fake), ["1", "2"]);
    runs.intervene(&acme(), id, Action::Resume, ada()).await.unwrap();
    soon(began.notified()).await; // the call that nobody recorded, under its key
    let calls = fake.calls.lock();
    assert_eq!((calls.len(), &calls[1]), (3, &calls[2]));
}

#[tokio::test(start_paused = true)]
async fn a_terminated_run_ends_now_and_its_late_writes_are_refused() {
    let (fake, began, go) = held_in_the_middle();
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    let run = runs.intervene(&acme(), id, Action::Terminate, ada()).await.unwrap();
    go.notify_one();
    assert_eq!(run.status, RunStatus::Terminated);
    let outcome = CallError::Permanent("terminated by ada: the CRM was down".to_owned());
    assert_eq!(run.outcome, Some(Outcome::Declined(outcome)));
    for _ in 0..100 {
        breathe().await;
    }
    let (after, steps) = runs.ended(&acme(), id).await;
    assert_eq!((after, steps.len()), (run, 1), "nothing was written after the end");
    assert!(world.inner.scan(&crate::keys::all_pending(), None, 9).await.unwrap().is_empty());
    assert_eq!(inputs(&fake), ["1", "2"]);

    for action in [Action::Pause, Action::Resume, Action::Cancel, Action::Terminate] {
        let error = runs.intervene(&acme(), id, action, ada()).await.unwrap_err();
        assert!(matches!(error, InterveneError::Unfit { why: Unfit::Over(_), .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_waits_is_paused_at_once() {
    let began = Arc::new(Notify::new());
    let ring = Arc::clone(&began);
    let fake = Arc::new(Fake::flow(move |_, effects| {
        let ring = Arc::clone(&ring);
        async move {
            ring.notify_one();
            sleep(&effects, 3_600_000).await?;
            Ok(Ok("true".to_owned()))
        }
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    breathe().await;
    runs.intervene(&acme(), id, Action::Pause, ada()).await.unwrap();
    breathe().await;
    world.clock.advance(LONG);
    breathe().await;
    assert_eq!(stands(&runs, id, RunStatus::Paused).await.steps, 0);
    runs.intervene(&acme(), id, Action::Resume, ada()).await.unwrap();
    assert_eq!(runs.ended(&acme(), id).await.0.status, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn another_tenants_run_is_absent() {
    let (fake, began, _) = held_in_the_middle();
    let runs = World::new().process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    let error = runs.intervene(&"globex".parse().unwrap(), id, Action::Terminate, ada()).await.unwrap_err();
    assert!(matches!(error, InterveneError::Absent(_)));
    assert_eq!(runs.get(&acme(), id).await.unwrap().unwrap().status, RunStatus::Accepted);
}
