//! What is accepted, once, with what goes into the same commit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use host_model::digest::Digest;
use host_model::outcome::Outcome;
use host_model::run::{RunStatus, StartedBy};
use host_store::faults::{Fault, FaultyStore};
use host_store::{Commit, MAX_VALUE, Store};

use super::world::*;
use crate::{AcceptError, Filter, Idempotency, MAX_KEY, MAX_RUNS, NewRun};

fn idempotency(key: &str, input: &str) -> Option<Idempotency> {
    let (scope, input) = ("/run/lead-intake".to_owned(), Digest::of(input.as_bytes()));
    Some(Idempotency { tenant: acme(), scope, key: key.to_owned(), input, answer: Some(201) })
}

fn echo() -> Arc<Fake> {
    Arc::new(Fake::flow(|run, _| async move { Ok(Ok(run.input.data)) }))
}

#[tokio::test(start_paused = true)]
async fn the_same_key_with_the_same_input_gives_the_same_runs() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let first = runs.accept(vec![new_run(), new_run()], idempotency("k", "a")).await.unwrap();
    assert!(!first.repeated && first.runs.len() == 2);

    let again = runs.accept(vec![new_run(), new_run()], idempotency("k", "a")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.runs, first.runs);
    let earlier = runs.earlier(&idempotency("k", "a").unwrap()).await.unwrap().unwrap();
    assert_eq!(earlier, again);
    assert_eq!((first.answer, again.answer), (Some(201), Some(201)));

    let other = runs.accept(vec![new_run()], idempotency("k", "b")).await;
    assert!(matches!(other, Err(AcceptError::KeyReused)), "{other:?}");
    let elsewhere = Idempotency { scope: "/run/other".to_owned(), ..idempotency("k", "b").unwrap() };
    assert!(runs.earlier(&elsewhere).await.unwrap().is_none(), "a key counts within its scope");
    let theirs = Idempotency { tenant: "rival".parse().unwrap(), ..idempotency("k", "a").unwrap() };
    assert!(runs.earlier(&theirs).await.unwrap().is_none(), "and within its tenant");
    assert_eq!(runs.list(&acme(), &Filter::default(), None, 100).await.unwrap().runs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_many_who_send_the_same_key_at_once_one_is_accepted() {
    let (world, fake) = (World::new(), echo());
    // All of them have looked before the first is through.
    let slow = (1..=40).fold(FaultyStore::new(Arc::clone(&world.inner)), |store, n| {
        store.with(n, Fault::Delay(Duration::from_secs(1)))
    });
    let store = Arc::new(slow);
    let (here, there) = (world.faulty(&store, &fake), world.faulty(&store, &fake));
    let twins = (0..20).map(|n| {
        let runs = if n % 2 == 0 { &here } else { &there };
        runs.accept(vec![new_run()], idempotency("k", "a"))
    });
    let accepted: Vec<_> = join_all(twins).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(accepted.iter().filter(|accepted| !accepted.repeated).count(), 1);
    assert!(accepted.iter().all(|other| other.runs == accepted[0].runs));

    let rivals = (0..20).map(|n| here.accept(vec![new_run()], idempotency("l", &n.to_string())));
    let accepted = join_all(rivals).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(accepted, 1, "and with different input the others are refused");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_remembered_for_a_day_and_then_forgotten() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    let first = runs.accept(vec![new_run()], idempotency("k", "a")).await.unwrap();
    runs.accept(vec![new_run()], idempotency("l", "a")).await.unwrap();
    world.clock.advance(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(runs.sweep().await.unwrap(), 0);
    assert_eq!(runs.accept(vec![new_run()], idempotency("k", "a")).await.unwrap().runs, first.runs);

    world.clock.advance(Duration::from_secs(1));
    let later = runs.accept(vec![new_run()], idempotency("k", "b")).await.unwrap();
    assert!(!later.repeated && later.runs != first.runs);
    world.clock.advance(Duration::from_secs(1));
    // The sweep that runs in the background may come first; both leave the same.
    runs.sweep().await.unwrap();
    assert!(runs.accept(vec![new_run()], idempotency("k", "b")).await.unwrap().repeated);
    let left = world.inner.scan(b"acme\0idempotency\0", None, 9).await.unwrap();
    assert_eq!(left.len(), 1, "`l` is forgotten, `k` is there anew");
}

#[tokio::test(start_paused = true)]
async fn what_goes_into_the_same_commit_happens_with_the_runs_or_not_at_all() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let cursor = Bytes::from_static(b"acme\0cursor\0");
    let also = || Commit::default().absent(cursor.clone()).put(cursor.clone(), "1");
    runs.accept_with(vec![new_run()], None, also()).await.unwrap();
    assert_eq!(world.inner.get(&cursor).await.unwrap().unwrap().value, "1");

    for key in [None, idempotency("k", "a")] {
        let second = runs.accept_with(vec![new_run()], key, also()).await;
        assert!(matches!(second, Err(AcceptError::Conflict)), "{second:?}");
    }
    assert_eq!(runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs.len(), 1);
    assert!(runs.earlier(&idempotency("k", "a").unwrap()).await.unwrap().is_none());

    let nothing = runs.accept_with(vec![], None, Commit::default().put(cursor.clone(), "2")).await.unwrap();
    assert!(nothing.runs.is_empty());
    assert_eq!(world.inner.get(&cursor).await.unwrap().unwrap().value, "2");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_or_too_much_is_refused_and_nothing_is_accepted() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let bad = new_run_of(&acme(), "lead-intake", "{");
    let refused = runs.accept(vec![new_run(), bad], None).await;
    assert!(matches!(refused, Err(AcceptError::Draft { index: 1, count: 2, .. })), "{refused:?}");
    let many = vec![new_run(); MAX_RUNS + 1];
    assert!(matches!(runs.accept(many, None).await, Err(AcceptError::TooMany { .. })));
    for key in ["", &"k".repeat(MAX_KEY + 1)] {
        let refused = runs.accept(vec![new_run()], idempotency(key, "a")).await;
        assert!(matches!(refused, Err(AcceptError::KeyLength(_))), "{refused:?}");
    }
    assert!(runs.list(&acme(), &Filter::default(), None, 9).await.unwrap().runs.is_empty());

    let most = runs.accept(vec![new_run(); MAX_RUNS], idempotency("k", "a")).await.unwrap();
    assert_eq!(most.runs.len(), MAX_RUNS);
    runs.drain(LONG).await;
    assert!(matches!(runs.accept(vec![new_run()], None).await, Err(AcceptError::Stopping)));
}

#[tokio::test(start_paused = true)]
async fn large_payloads_pass_through_blobs_unseen() {
    let fake = Fake::flow(|run, effects| async move {
        let answer = call(&effects, "crm", "create", run.input.data).await?.unwrap();
        call(&effects, "crm", "update", answer).await
    });
    // Quotes take twice the room as JSON in JSON; the value must still fit the store.
    let fake = Arc::new(fake.endpoint(|call| async move { Ok(answered(call.input)) }));
    let world = World::new();
    let runs = world.process(&fake);
    for size in [MAX_VALUE / 8, MAX_VALUE / 2, MAX_VALUE, 8 * MAX_VALUE] {
        let data = format!("[{}\"\"]", "\"\",".repeat(size / 3));
        let accepted = runs.accept(vec![new_run_of(&acme(), "lead-intake", &data)], None).await.unwrap();
        let (run, steps) = runs.ended(&acme(), accepted.runs[0]).await;
        assert_eq!(run.status, RunStatus::Succeeded);
        assert!(run.input.data == data && run.outcome == Some(Outcome::Answered(data.clone())));
        assert!(steps.iter().all(|step| step.outcome == Outcome::Answered(data.clone())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_says_where_it_came_from() {
    let (world, fake) = (World::new(), echo());
    let runs = world.process(&fake);
    let from = |started_by| NewRun { started_by, ..new_run() };
    let accepted = runs
        .accept(
            vec![
                from(StartedBy::Webhook("form".parse().unwrap())),
                from(StartedBy::Schedule("nightly".parse().unwrap())),
                from(StartedBy::Manual(None)),
            ],
            None,
        )
        .await
        .unwrap();
    let mut sources = Vec::new();
    for id in accepted.runs {
        sources.push(runs.get(&acme(), id).await.unwrap().unwrap().input.source);
    }
    assert_eq!(sources, ["/connections/form", "/schedules/nightly", "/run"]);
}
