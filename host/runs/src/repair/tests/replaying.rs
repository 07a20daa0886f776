//! Replays: from where, on what, with what, and how often.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use host_model::effects::Intent;
use host_model::outcome::{CallError, Finished, Outcome};
use host_model::run::{Effect, Step};
use host_store::faults::FaultyStore;

use super::super::{From, On, Replay, ReplayError};
use super::*;

/// `six_steps`, of which the last call but one fails until it is repaired, and
/// that gives up then.
fn failing() -> (Arc<Fake>, Arc<AtomicBool>) {
    let repaired = Arc::new(AtomicBool::new(false));
    let fake = Fake::flow(|run, effects| async move {
        let created = call(&effects, "crm", "create", run.input.data).await?.unwrap();
        let mut random = [0; 8];
        effects.fill_random(&mut random);
        let note = format!("[\"{}\",{}]", effects.now().timestamp_millis(), u64::from_be_bytes(random) >> 12);
        let mail = start(&effects, "mail", "send", created.clone()).await?;
        let chat = start(&effects, "chat", "post", note).await?;
        let first = effects.wait_any(vec![mail, chat]).await?;
        effects.wait(mail).await?.unwrap();
        effects.wait(chat).await?.unwrap();
        let updated = call(&effects, "crm", "update", first.to_string()).await?;
        if updated.is_err() {
            return Ok(updated);
        }
        call(&effects, "chat", "post", "\"done\"").await
    });
    let good = Arc::clone(&repaired);
    let fake = fake.endpoint(move |call| {
        let fails = call.endpoint.as_str() == "update" && !good.load(Ordering::SeqCst);
        async move {
            if call.endpoint.as_str() == "send" {
                tokio::time::sleep(Duration::from_millis(5)).await; // the other one comes first
            }
            let no = CallError::Permanent("out of service".to_owned());
            let outcome = if fails { Outcome::Declined(no) } else { Outcome::Answered(call.input) };
            Ok(Finished { outcome, ..answered("") })
        }
    });
    (Arc::new(fake), repaired)
}

async fn failed(runs: &Arc<Runs>, fake: &Fake) -> RunId {
    let id = accept_one(runs).await;
    assert_eq!(runs.ended(&acme(), id).await.0.status, RunStatus::Failed);
    fake.calls.lock().clear();
    id
}

fn taken(steps: &[Step]) -> Vec<(u32, u32, Effect, String)> {
    let line = |step: &Step| (step.number, step.completed, step.effect.clone(), step.idempotency_key.clone());
    steps.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn from_the_failed_step_the_steps_before_are_taken_over_and_the_rest_keeps_its_keys() {
    let (fake, repaired) = failing();
    let world = World::new();
    let runs = world.process(&fake);
    let old = failed(&runs, &fake).await;
    repaired.store(true, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(86_400));
    let new = runs.replay(&acme(), old, replay(From::Failed)).await.unwrap();
    assert!(!new.repeated);
    let (run, steps) = runs.ended(&acme(), new.run).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{:?}", run.outcome);
    let calls: Vec<_> = fake.calls.lock().iter().map(|call| call.idempotency_key.clone()).collect();
    assert_eq!(calls, [format!("{old}-3"), format!("{old}-4")], "under the keys of the first run");

    let (before, old_steps) = runs.ended(&acme(), old).await;
    assert_eq!(taken(&steps[..3]), taken(&old_steps[..3]));
    assert_eq!(run.replay_of.as_ref().map(|of| (of.run, of.from_step, of.dry)), Some((old, 3, false)));
    assert_eq!((before.status, before.replayed_by), (RunStatus::Failed, Some(new.run)));
    assert_eq!(before.interventions[0].what, format!("replayed as {}", new.run));
    assert_eq!(
        (run.interventions[0].what.clone(), &*run.interventions[0].who),
        (format!("replay of {old}"), "ada")
    );
    assert_eq!(run.input, before.input);
    assert!(run.accepted_at > before.accepted_at);

    // A replay of the replay has the first run's keys too.
    let third = runs.replay(&acme(), new.run, replay(From::Step(4))).await.unwrap().run;
    assert_eq!(runs.ended(&acme(), third).await.0.status, RunStatus::Succeeded);
    assert_eq!(fake.calls.lock().last().unwrap().idempotency_key, format!("{old}-4"));
}

#[tokio::test(start_paused = true)]
async fn from_the_start_everything_is_done_again_with_keys_of_its_own_and_other_input() {
    let (fake, repaired) = failing();
    let runs = World::new().process(&fake);
    let old = failed(&runs, &fake).await;
    repaired.store(true, Ordering::SeqCst);
    let edited = Replay { input: Some("{\"name\":\"Grace\"}".to_owned()), ..replay(From::Start) };
    let new = runs.replay(&acme(), old, edited).await.unwrap().run;
    let (run, steps) = runs.ended(&acme(), new).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Succeeded, 5));
    assert_eq!(run.input.data, "{\"name\":\"Grace\"}");
    assert!(fake.calls.lock().iter().all(|call| call.idempotency_key.starts_with(&new.to_string())));

    let bad = Replay { input: Some("{".to_owned()), ..replay(From::Start) };
    let error = runs.replay(&acme(), old, bad).await.unwrap_err();
    assert!(matches!(error, ReplayError::Input(_)), "{error}");
    let unfit = Replay { input: Some("\"unfit\"".to_owned()), ..replay(From::Start) };
    let error = runs.replay(&acme(), old, unfit).await.unwrap_err();
    assert!(matches!(&error, ReplayError::Unfit(why) if why.contains("/name")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_changes_what_was_asked_ends_as_diverged_and_both_are_shown() {
    let (fake, _) = failing();
    let runs = World::new().process(&fake);
    let old = failed(&runs, &fake).await;
    let edited = Replay { input: Some("{\"name\":\"Grace\"}".to_owned()), ..replay(From::Failed) };
    let new = runs.replay(&acme(), old, edited).await.unwrap().run;
    let (run, _) = runs.ended(&acme(), new).await;
    assert_eq!(run.status, RunStatus::Diverged);
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("Ada") && text.contains("Grace"), "{text}");
    assert!(fake.calls.lock().is_empty(), "nothing was done");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_uses_what_is_recorded_and_stops_at_what_is_not() {
    let (fake, repaired) = failing();
    let world = World::new();
    let runs = world.process(&fake);
    let old = failed(&runs, &fake).await;
    repaired.store(true, Ordering::SeqCst);
    let dry = Replay { dry: true, ..replay(From::Start) };
    let (run, steps) = {
        let new = runs.replay(&acme(), old, dry.clone()).await.unwrap().run;
        runs.ended(&acme(), new).await
    };
    assert_eq!((run.status, steps.len()), (RunStatus::Failed, 4), "as the recorded answers have it");
    assert_eq!(run.replay_of.unwrap().from_step, 4);
    assert_eq!(runs.get(&acme(), old).await.unwrap().unwrap().replayed_by, None, "it repairs nothing");

    // A version that copes with the failure asks for more than was recorded.
    let coping = Arc::new(Fake::flow(|run, effects| async move {
        let created = call(&effects, "crm", "create", run.input.data).await?.unwrap();
        let mut random = [0; 8];
        effects.fill_random(&mut random);
        let note = format!("[\"{}\",{}]", effects.now().timestamp_millis(), u64::from_be_bytes(random) >> 12);
        start(&effects, "mail", "send", created).await?;
        start(&effects, "chat", "post", note).await?;
        let _ = call(&effects, "crm", "update", "1").await?;
        sleep(&effects, 1_000_000).await?;
        Ok(Ok("true".to_owned()))
    }));
    runs.kill().await;
    let runs = world.process(&coping);
    let current = On::Current(workflow_of(&acme(), "lead-intake", LONG));
    let new = runs.replay(&acme(), old, Replay { on: current, ..dry }).await.unwrap().run;
    let (run, steps) = runs.ended(&acme(), new).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Failed, 4));
    let Some(Outcome::Trapped(text)) = run.outcome else { panic!("{run:?}") };
    assert!(text.contains("dry run stopped at step 4") && text.contains("sleep of 1000000 ms"), "{text}");
    assert!(fake.calls.lock().is_empty() && coping.calls.lock().is_empty(), "no outside effect");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_replayed_says_why_and_nothing_is_lost() {
    let (fake, began, _) = held_in_the_middle();
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    soon(began.notified()).await;
    let said = async |from| runs.replay(&acme(), id, replay(from)).await.unwrap_err().to_string();
    assert!(said(From::Start).await.contains("has not ended, it is accepted"));
    runs.intervene(&acme(), id, super::super::Action::Terminate, ada()).await.unwrap();
    assert!(
        said(From::Failed).await.contains("no step of")
            && said(From::Failed).await.contains("(it terminated)")
    );
    assert!(said(From::Step(7)).await.contains("has no step 7; its steps have the numbers up to 0"));
    fake.package_gone.store(true, Ordering::SeqCst);
    let gone = said(From::Start).await;
    for want in ["example/lead-intake@0.1.0", "sha256", "publish it again, or replay on the current version"]
    {
        assert!(gone.contains(want), "`{want}` in {gone}");
    }
    let current = On::Current(workflow_of(&acme(), "lead-intake", LONG));
    runs.replay(&acme(), id, Replay { on: current, ..replay(From::Start) }).await.unwrap();
    let error = runs.replay(&"globex".parse().unwrap(), id, replay(From::Start)).await.unwrap_err();
    assert!(matches!(error, ReplayError::Absent(_)));
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, steps.len()), (RunStatus::Terminated, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_replays_a_run_once_and_never_what_it_made_itself() {
    let (fake, _) = failing();
    let runs = World::new().process(&fake);
    let old = failed(&runs, &fake).await;
    let asked = Replay { request: Some("tuesday".to_owned()), ..replay(From::Failed) };
    let first = runs.replay(&acme(), old, asked.clone()).await.unwrap();
    runs.ended(&acme(), first.run).await;
    let again = runs.replay(&acme(), old, asked.clone()).await.unwrap();
    assert_eq!((again.run, again.repeated), (first.run, true));
    let error = runs.replay(&acme(), first.run, asked.clone()).await.unwrap_err();
    assert!(matches!(error, ReplayError::OwnProduct(_)), "{error}");
    let unless = Replay { request: Some("wednesday".to_owned()), unless_replayed: true, ..asked.clone() };
    assert_eq!(runs.replay(&acme(), old, unless).await.unwrap(), again);
    let other = Replay { from: From::Start, ..asked };
    assert!(matches!(runs.replay(&acme(), old, other).await, Err(ReplayError::RequestReused)));
    assert_eq!(fake.calls.lock().len(), 1, "one replay of one call");
}

#[tokio::test(start_paused = true)]
async fn what_the_steps_before_set_replied_and_named_belongs_to_the_replay_too() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let named =
            |name: &str, value: &str| Intent::SetKey { name: name.to_owned(), value: value.to_owned() };
        effects.start(named("customer", "4711")).await?;
        effects.start(Intent::Reply { answer: "\"thanks\"".to_owned() }).await?;
        let (role, endpoint, input) = ("crm".to_owned(), "update".to_owned(), "\"undo\"".to_owned());
        effects.start(Intent::OnCancel { role, endpoint, input }).await?;
        let made = call(&effects, "crm", "create", "1").await?;
        if made.is_err() {
            return Ok(made);
        }
        effects.start(named("customer", "4712")).await?;
        sleep(&effects, 1_000_000_000).await?;
        Ok(Ok("true".to_owned()))
    }));
    let bad = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&bad);
    let fake = Arc::into_inner(fake).unwrap().endpoint(move |call| {
        let fails = down.load(Ordering::SeqCst);
        async move {
            let no = Outcome::Declined(CallError::Permanent("down".to_owned()));
            Ok(if fails { Finished { outcome: no, ..answered("") } } else { answered(call.input) })
        }
    });
    let fake = Arc::new(fake);
    let runs = World::new().process(&fake);
    let old = accept_one(&runs).await;
    while runs.get(&acme(), old).await.unwrap().unwrap().status != RunStatus::Failed {
        breathe().await;
    }
    bad.store(false, Ordering::SeqCst);
    let new = runs.replay(&acme(), old, replay(From::Failed)).await.unwrap().run;
    let run = runs.get(&acme(), new).await.unwrap().unwrap();
    assert!(run.keys["customer"].starts_with("471"), "set before it goes on: {:?}", run.keys);
    assert_eq!(run.reply.as_deref(), Some("\"thanks\""));
    while runs.get(&acme(), new).await.unwrap().unwrap().steps < 5 {
        breathe().await;
    }
    fake.calls.lock().clear();
    runs.intervene(&acme(), new, super::super::Action::Cancel, ada()).await.unwrap();
    let run = stands(&runs, new, RunStatus::Cancelled).await;
    assert_eq!(run.keys["customer"], "4712");
    assert_eq!(inputs(&fake), ["\"undo\""], "what the first run named is undone with the replay");
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_at_once_the_first_is_where_it_goes_on() {
    let bad = Arc::new(AtomicUsize::new(0));
    let down = Arc::clone(&bad);
    let fake = Fake::flow(|_, effects| async move {
        let coped = call(&effects, "crm", "create", "0").await?;
        assert!(coped.is_err(), "this one always fails, and the workflow copes");
        let mut started = Vec::new();
        for n in 1..=4 {
            started.push(start(&effects, "chat", "post", n.to_string()).await?);
        }
        let mut failed = false;
        for pending in started {
            failed |= effects.wait(pending).await?.is_err();
        }
        Ok(if failed { Err(CallError::Permanent("no".to_owned())) } else { Ok("true".to_owned()) })
    });
    let fake = Arc::new(fake.endpoint(move |call| {
        let fails =
            call.input == "0" || down.load(Ordering::SeqCst) == 0 && matches!(&*call.input, "2" | "4");
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let outcome = if fails {
                Outcome::Declined(CallError::Permanent("down".to_owned()))
            } else {
                Outcome::Answered(call.input)
            };
            Ok(Finished { outcome, ..answered("") })
        }
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    for _ in 0..100 {
        breathe().await;
        world.clock.advance(Duration::from_millis(1));
    }
    assert_eq!(runs.ended(&acme(), id).await.0.status, RunStatus::Failed);
    fake.calls.lock().clear();
    bad.store(1, Ordering::SeqCst);
    let new = runs.replay(&acme(), id, replay(From::Failed)).await.unwrap().run;
    assert_eq!(runs.ended(&acme(), new).await.0.status, RunStatus::Succeeded);
    assert_eq!(inputs(&fake), ["2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_larger_than_a_commit_is_taken_over_whole_or_not_at_all() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for n in 0..1_200 {
            call(&effects, "chat", "post", n.to_string()).await?.unwrap();
        }
        Ok(Err(CallError::Permanent("no".to_owned())))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    runs.ended(&acme(), id).await;
    runs.kill().await;
    // Of 1,199 steps 750 in a commit of their own, then the rest with the run itself.
    for last in 0..=2 {
        fake.calls.lock().clear();
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(last));
        let runs = world.faulty(&store, &fake);
        let made = runs.replay(&acme(), id, replay(From::Step(1_199))).await;
        assert_eq!(made.is_ok(), last == 2, "death after commit {last}");
        runs.kill().await;
        let runs = world.process(&fake);
        runs.recover().await.unwrap();
        let by = runs.get(&acme(), id).await.unwrap().unwrap().replayed_by;
        assert_eq!(by.is_some(), last == 2);
        if let Some(new) = by {
            let (run, _) = runs.ended(&acme(), new).await;
            assert_eq!((run.status, run.steps), (RunStatus::Failed, 1_200));
            assert!(fake.calls.lock().iter().all(|call| call.idempotency_key == format!("{id}-1199")));
        }
        runs.kill().await;
    }
}
