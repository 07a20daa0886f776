//! Waiting for long: sleeps of days, events, other runs; out of memory and back.

use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{Effects, Intent, Pending, Stopped};
use host_model::id::RunId;
use host_model::outcome::{CallError, Outcome};
use host_model::run::{Effect, Run, RunStatus, StartedBy, Wait};
use host_store::Store as _;

use super::world::*;
use crate::{DeliverError, MAX_EVENTS, Runs};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn event(name: &str, timeout: Option<Duration>) -> Intent {
    let timeout_ms = timeout.map(|timeout| timeout.as_millis() as u64);
    Intent::Event { name: name.to_owned(), timeout_ms }
}

fn child(workflow: &str, input: &str) -> Intent {
    Intent::Workflow { workflow: workflow.to_owned(), input: input.to_owned() }
}

async fn does(effects: &Arc<dyn Effects>, intent: Intent) -> Result<Result<String, CallError>, Stopped> {
    let pending = effects.start(intent).await?;
    effects.wait(pending).await
}

/// The run, once it is parked.
async fn parked(runs: &Runs, id: RunId) -> Run {
    for _ in 0..100_000 {
        let run = runs.get(&acme(), id).await.unwrap().unwrap();
        assert!(!run.status.is_over(), "{run:?}");
        if run.status == RunStatus::Waiting {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it was never parked");
}

fn url_of(run: &Run) -> (String, String) {
    let Some(Wait::Event { name, url, .. }) = run.waits.first() else { panic!("{:?}", run.waits) };
    let secret = url.rsplit('/').next().unwrap();
    assert_eq!(*url, format!("http://127.0.0.1:7070/events/acme/{}/{name}/{secret}", run.id));
    (name.clone(), secret.to_owned())
}

async fn keys_left(world: &World, prefix: &[u8]) -> usize {
    world.inner.scan(prefix, None, 99).await.unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn a_simulated_year_of_daily_sleeps_calls_once_a_day() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for day in 0..365 {
            sleep(&effects, DAY.as_millis() as u64).await?;
            call(&effects, "chat", "post", &day.to_string()).await?.unwrap();
        }
        Ok(Ok("\"a year\"".to_owned()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let begun = parked(&runs, id).await.accepted_at;
    for day in 1..=365_u32 {
        let until = begun + DAY * day;
        while !parked(&runs, id).await.waits.contains(&Wait::Time { until }) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world.clock.advance(DAY);
    }
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Succeeded, "{run:?}");
    assert_eq!(run.finished_at.unwrap() - begun, chrono::TimeDelta::days(365));
    let said: Vec<_> = fake.calls.lock().iter().map(|call| call.input.clone()).collect();
    assert_eq!(said, (0..365).map(|day| day.to_string()).collect::<Vec<_>>(), "each day once, in order");
    assert!(!steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_long_sleep_takes_no_memory_and_ends_at_its_instant_in_any_process() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        call(&effects, "chat", "post", "1").await?.unwrap();
        sleep(&effects, 3 * DAY.as_millis() as u64).await?;
        call(&effects, "chat", "post", "2").await
    }));
    for dies in [false, true] {
        fake.calls.lock().clear();
        let world = World::new();
        let mut runs = world.process(&fake);
        let id = accept_one(&runs).await;
        let run = parked(&runs, id).await;
        let until = run.accepted_at + 3 * DAY;
        assert_eq!(run.waits, [Wait::Time { until }]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(runs.places.in_memory(), 0);
        assert_eq!(keys_left(&world, &crate::keys::all_pending()).await, 0);
        if dies {
            runs.kill().await;
            runs = world.process(&fake);
            runs.recover().await.unwrap();
        }
        world.clock.advance(3 * DAY - Duration::from_millis(1));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(runs.get(&acme(), id).await.unwrap().unwrap().status, RunStatus::Waiting);
        world.clock.advance(Duration::from_millis(1));
        let (run, steps) = runs.ended(&acme(), id).await;
        assert_eq!((run.status, run.attempts, steps.len()), (RunStatus::Succeeded, 1, 3));
        assert_eq!(steps[1].finished_at, until);
        assert_eq!(fake.calls.lock().len(), 2, "nothing was called twice");
        assert_eq!(keys_left(&world, &crate::keys::wakes()).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_year_of_sleeps_passes_in_no_time() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for day in 0..365 {
            sleep(&effects, DAY.as_millis() as u64).await?;
            call(&effects, "chat", "post", day.to_string()).await?.unwrap();
        }
        Ok(Ok("1".to_owned()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let began = world.clock.clone();
    let ids = [accept_one(&runs).await, accept_one(&runs).await];
    for day in 0..365 {
        for id in ids {
            while parked(&runs, id).await.steps < 2 * day {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        began.set(began.next_wake().unwrap());
    }
    for id in ids {
        let (run, _) = runs.ended(&acme(), id).await;
        assert_eq!((run.status, run.steps), (RunStatus::Succeeded, 730));
        assert!(run.finished_at.unwrap() >= run.accepted_at + 365 * DAY);
    }
    assert_eq!(fake.calls.lock().len(), 730);
}

#[tokio::test(start_paused = true)]
async fn what_was_over_first_comes_first_however_late_it_is_seen() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let late = effects.start(Intent::Sleep { ms: 10 * DAY.as_millis() as u64 }).await?;
        let soon = effects.start(Intent::Sleep { ms: 9 * DAY.as_millis() as u64 }).await?;
        let first = effects.wait_any(vec![late, soon]).await?;
        effects.wait(late).await?.unwrap();
        Ok(Ok(first.to_string()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    assert_eq!(parked(&runs, id).await.waits.len(), 2);
    runs.kill().await;
    world.clock.advance(30 * DAY);
    let runs = world.process(&fake);
    runs.recover().await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!(run.outcome, Some(Outcome::Answered("1".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_its_run_and_only_the_first_one_counts() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let approved = effects.start(event("approved", Some(9 * DAY))).await?;
        call(&effects, "mail", "send", format!("{:?}", effects.callback_url(approved))).await?.unwrap();
        let answer = effects.wait(approved).await?;
        sleep(&effects, DAY.as_millis() as u64).await?;
        Ok(answer)
    }));
    for by_url in [true, false] {
        for dies in [false, true] {
            let world = World::new();
            let mut runs = world.process(&fake);
            let id = accept_one(&runs).await;
            let run = parked(&runs, id).await;
            let (name, secret) = url_of(&run);
            let told = fake.calls.lock().last().unwrap().input.clone();
            assert!(told.ends_with(&format!("{secret}\"")), "the workflow gets the same address: {told}");
            if dies {
                runs.kill().await;
                let elsewhere =
                    crate::Settings { public_url: "https://moved.example".into(), ..Default::default() };
                runs = world.process_on(Arc::clone(&world.inner) as _, &fake, elsewhere);
                runs.recover().await.unwrap();
            }
            let send = async |data: &str| match by_url {
                true => runs.deliver_by_secret(&acme(), id, &name, &secret, data.to_owned()).await,
                false => runs.deliver(&acme(), id, &name, data.to_owned()).await,
            };
            assert!(matches!(send("{").await, Err(DeliverError::Data(_))));
            send("{\"by\":\"ada\"}").await.unwrap();
            assert!(matches!(send("2").await, Err(DeliverError::Taken { .. })), "before it is taken");
            tokio::time::sleep(Duration::from_secs(10)).await;
            let run = parked(&runs, id).await;
            assert!(matches!(run.waits[0], Wait::Time { .. }));
            assert!(matches!(send("2").await, Err(DeliverError::Taken { .. })), "and after");
            assert_eq!(keys_left(&world, &crate::keys::wakes()).await, 1, "only the sleep is left");

            world.clock.advance(DAY);
            let (run, steps) = runs.ended(&acme(), id).await;
            assert_eq!(run.outcome, Some(Outcome::Answered("{\"by\":\"ada\"}".to_owned())));
            assert!(matches!(&steps[0].effect, Effect::Event { name, .. } if name == "approved"));
            assert!(matches!(send("2").await, Err(DeliverError::Over(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_this_tenants_or_not_the_secret_is_absent() {
    let fake =
        Arc::new(Fake::flow(|_, effects| async move { does(&effects, event("approved", None)).await }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let (name, secret) = url_of(&parked(&runs, id).await);
    let rival = "rival".parse().unwrap();
    let other = RunId::from_bytes([1; 16]);
    let data = || "1".to_owned();
    for refused in [
        runs.deliver(&rival, id, &name, data()).await,
        runs.deliver(&acme(), other, &name, data()).await,
        runs.deliver_by_secret(&rival, id, &name, &secret, data()).await,
        runs.deliver_by_secret(&acme(), other, &name, &secret, data()).await,
        runs.deliver_by_secret(&acme(), id, "other", &secret, data()).await,
        runs.deliver_by_secret(&acme(), id, "../x", &secret, data()).await,
        runs.deliver_by_secret(&acme(), id, &name, &format!("{secret}0"), data()).await,
        runs.deliver_by_secret(&acme(), id, &name, "", data()).await,
    ] {
        assert!(matches!(refused, Err(DeliverError::Absent)), "{refused:?}");
    }
    assert!(matches!(runs.deliver(&acme(), id, "../x", data()).await, Err(DeliverError::Name(_))));
    runs.deliver_by_secret(&acme(), id, &name, &secret, String::new()).await.unwrap();
    assert_eq!(runs.ended(&acme(), id).await.0.outcome, Some(Outcome::Answered("null".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_before_it_is_asked_for_is_kept_within_bounds() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        sleep(&effects, DAY.as_millis() as u64).await?;
        let first = does(&effects, event("e0", None)).await?.unwrap();
        let again = does(&effects, event("e0", Some(DAY))).await?.unwrap();
        Ok(Ok(format!("[{first},{again}]")))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    parked(&runs, id).await;
    for n in 0..MAX_EVENTS {
        runs.deliver(&acme(), id, &format!("e{n}"), n.to_string()).await.unwrap();
    }
    let one_more = runs.deliver(&acme(), id, "one-more", "1".to_owned()).await;
    assert!(matches!(one_more, Err(DeliverError::Crowded(_))), "{one_more:?}");
    assert_eq!(
        runs.get(&acme(), id).await.unwrap().unwrap().status,
        RunStatus::Waiting,
        "not what it waits for"
    );
    world.clock.advance(DAY);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let run = parked(&runs, id).await;
    assert!(matches!(&run.waits[0], Wait::Event { name, .. } if name == "e0"));
    runs.deliver(&acme(), id, "e0", "\"again\"".to_owned()).await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!(
        run.outcome,
        Some(Outcome::Answered("[0,\"again\"]".to_owned())),
        "it may ask for a name again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_does_not_come_in_time_is_not_found() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let brief = does(&effects, event("brief", Some(Duration::from_secs(2)))).await?.unwrap_err();
        let long = does(&effects, event("long", Some(DAY))).await?.unwrap_err();
        let bad = does(&effects, event("Bad Name", None)).await?.unwrap_err();
        let twice = effects.start(event("twice", None)).await?;
        let clash = does(&effects, event("twice", None)).await?.unwrap_err();
        let _ = twice;
        Ok(Ok(format!("{:?}", [brief, long, bad, clash].map(|error| error.to_string()))))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.clock.advance(Duration::from_secs(2));
    let (_, secret) = url_of(&parked(&runs, id).await);
    world.clock.advance(DAY);
    let (run, steps) = runs.ended(&acme(), id).await;
    let Some(Outcome::Answered(said)) = run.outcome else { panic!("{run:?}") };
    for part in ["not found: the event `brief`", "not found: the event `long`", "invalid input", "conflict"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let left = &steps[3].outcome;
    assert!(matches!(left, Outcome::Declined(CallError::Other(_))), "nobody waited for it: {left:?}");
    let late = runs.deliver_by_secret(&acme(), id, "long", &secret, "1".to_owned()).await;
    assert!(matches!(late, Err(DeliverError::Over(_))), "{late:?}");
}

/// A parent that asks `child` for its answer, and that child.
fn family(linger: Duration) -> Arc<Fake> {
    let fake = Fake::flow(move |run, effects: Arc<dyn Effects>| async move {
        match run.workflow.as_str() {
            "child" => {
                assert!(matches!(run.started_by, StartedBy::Run(_)));
                sleep(&effects, linger.as_millis() as u64).await?;
                let answer = call(&effects, "chat", "post", run.input.data.clone()).await?;
                if run.input.data == "\"bad\"" {
                    Ok(Err(CallError::InvalidInput("bad".to_owned())))
                } else {
                    Ok(answer)
                }
            }
            "endless" => does(&effects, child("endless", "1")).await,
            _ => {
                let absent = does(&effects, child("nobody", "1")).await?.unwrap_err();
                let unfit = does(&effects, child("child", "\"unfit\"")).await?.unwrap_err();
                assert!(matches!(&unfit, CallError::InvalidInput(why) if why.contains("/name")), "{unfit}");
                let bad = does(&effects, child("child", "\"bad\"")).await?.unwrap_err();
                let good = does(&effects, child("child", "2")).await?.unwrap();
                Ok(Ok(format!("{:?}", [absent.to_string(), bad.to_string(), good])))
            }
        }
    });
    for name in ["child", "endless"] {
        fake.workflows.lock().push(workflow_of(&acme(), name, LONG));
    }
    Arc::new(fake)
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_workflow_answers_as_it_ends() {
    for linger in [Duration::ZERO, Duration::from_secs(3), 2 * DAY] {
        for dies in [false, true] {
            let (world, fake) = (World::new(), family(linger));
            let mut runs = world.process(&fake);
            let id = accept_one(&runs).await;
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                if dies {
                    runs.kill().await;
                    runs = world.process(&fake);
                    runs.recover().await.unwrap();
                    tokio::time::sleep(Duration::from_secs(20)).await;
                }
                world.clock.advance(linger);
            }
            let (run, steps) = runs.ended(&acme(), id).await;
            let Some(Outcome::Answered(said)) = run.outcome else { panic!("{linger:?}: {run:?}") };
            assert!(said.contains("not found: there is no workflow `nobody`"), "{said}");
            assert!(
                said.contains("failed: invalid input: bad") && said.contains("permanent failure: run_"),
                "{said}"
            );
            assert!(said.contains("did"), "{said}");
            assert_eq!(fake.calls.lock().len(), 2, "each child ran once");
            let Effect::Workflow { run: Some(child), .. } = &steps[3].effect else { panic!("{steps:?}") };
            let child = runs.get(&acme(), *child).await.unwrap().unwrap();
            assert_eq!((child.status, child.started_by), (RunStatus::Succeeded, StartedBy::Run(id)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn runs_start_runs_eight_levels_deep_and_no_deeper() {
    let (world, fake) = (World::new(), family(Duration::ZERO));
    let runs = world.process(&fake);
    let id = runs.accept(vec![new_run_of(&acme(), "endless", "1")], None).await.unwrap().runs[0];
    let (run, _) = runs.ended(&acme(), id).await;
    let Some(Outcome::Declined(CallError::Permanent(why))) = run.outcome else { panic!("{run:?}") };
    assert_eq!(why.matches("run_").count(), 8, "{why}");
    assert!(why.contains("8 runs deep"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_publication_starts_each_subscriber_once_together_with_its_step() {
    let fake = Fake::flow(|run, effects: Arc<dyn Effects>| async move {
        if run.workflow.as_str().starts_with("on-") {
            assert_eq!((run.input.kind.as_str(), run.input.source.as_str()), ("leads", "/topics/leads"));
            return call(&effects, "chat", "post", run.input.data).await;
        }
        let publish =
            |topic: &str, data: &str| Intent::Publish { topic: topic.to_owned(), data: data.to_owned() };
        let none = does(&effects, publish("nobody-listens", "1")).await?.unwrap();
        let bad = does(&effects, publish("leads", "{")).await?.unwrap_err();
        let two = does(&effects, publish("leads", "7")).await?.unwrap();
        Ok(Ok(format!("{:?}", [none, bad.to_string(), two])))
    });
    for name in ["on-leads", "on-leads-too", "on-other"] {
        fake.workflows.lock().push(workflow_of(&acme(), name, LONG));
    }
    fake.workflows.lock().push(workflow_of(&"rival".parse().unwrap(), "on-leads", LONG));
    let (world, fake) = (World::new(), Arc::new(fake));
    let runs = world.process(&fake);
    let (run, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    let Some(Outcome::Answered(said)) = run.outcome else { panic!("{run:?}") };
    assert!(said.starts_with("[\"0\", \"invalid input") && said.ends_with("\"2\"]"), "{said}");
    let Effect::Publish { runs: started, .. } = &steps[2].effect else { panic!("{steps:?}") };
    for id in started {
        let (run, _) = runs.ended(&acme(), *id).await;
        assert_eq!(
            (run.status, run.started_by),
            (RunStatus::Succeeded, StartedBy::Topic("leads".parse().unwrap()))
        );
    }
    assert_eq!((started.len(), fake.calls.lock().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_are_woken_at_once_and_none_is_forgotten() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let sleeps: Pending = effects.start(Intent::Sleep { ms: DAY.as_millis() as u64 }).await?;
        effects.wait(sleeps).await
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let ids = runs.accept(vec![new_run(); 300], None).await.unwrap().runs;
    for id in &ids {
        parked(&runs, *id).await;
    }
    assert_eq!(runs.places.in_memory(), 0);
    world.clock.advance(DAY);
    for id in ids {
        assert_eq!(runs.ended(&acme(), id).await.0.status, RunStatus::Succeeded);
    }
}
