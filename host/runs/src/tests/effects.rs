//! What is not a call: replies, business keys, what undoes a run, marks, the definition.

use std::sync::Arc;
use std::time::Duration;

use host_model::effects::{Effects, Intent, Stopped};
use host_model::outcome::{CallError, Outcome};
use host_model::resource::Workflow;
use host_model::run::{Effect, RunStatus};

use super::world::*;
use crate::NewRun;
use crate::repair::{By, From, On, Replay};

async fn does(effects: &Arc<dyn Effects>, intent: Intent) -> Result<Result<String, CallError>, Stopped> {
    let pending = effects.start(intent).await?;
    effects.wait(pending).await
}

fn set_key(name: impl Into<String>, value: impl Into<String>) -> Intent {
    Intent::SetKey { name: name.into(), value: value.into() }
}

fn reply(answer: &str) -> Intent {
    Intent::Reply { answer: answer.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_gets_the_first_reply_while_the_run_goes_on() {
    let fake = Fake::flow(|_, effects| async move {
        does(&effects, reply("1")).await?.unwrap();
        does(&effects, reply("2")).await?.unwrap();
        call(&effects, "chat", "post", "3").await
    });
    let fake = Arc::new(fake.endpoint(|call| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(answered(call.input))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let run = soon(runs.wait(&acme(), id, LONG)).await.unwrap().unwrap();
    assert_eq!((run.status, run.reply.as_deref(), run.outcome), (RunStatus::Accepted, Some("1"), None));

    tokio::time::sleep(Duration::from_secs(61)).await;
    let run = runs.wait(&acme(), id, LONG).await.unwrap().unwrap();
    assert_eq!((run.reply.as_deref(), run.outcome), (Some("1"), Some(Outcome::Answered("3".to_owned()))));
    let (_, steps) = runs.show(&acme(), id).await.unwrap().unwrap();
    assert!(matches!(&steps.steps[1].effect, Effect::Reply { answer } if answer == "2"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_no_json_ends_the_run() {
    let fake = Arc::new(Fake::flow(|_, effects| async move { does(&effects, reply("{")).await }));
    let world = World::new();
    let runs = world.process(&fake);
    let (run, _) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert_eq!((run.status, run.reply), (RunStatus::Failed, None));
    let Some(Outcome::Trapped(why)) = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(why.contains("the reply is not JSON"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_run_has_at_most_four_business_keys_and_may_replace_them() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for n in 0..4 {
            does(&effects, set_key(format!("k{n}"), "1")).await?.unwrap();
        }
        does(&effects, set_key("k0", "2")).await?.unwrap();
        call(&effects, "chat", "post", "1").await?.unwrap();
        does(&effects, set_key("k5", "1")).await
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let (run, _) = runs.ended(&acme(), accept_one(&runs).await).await;
    assert!(matches!(run.outcome, Some(Outcome::Declined(CallError::InvalidInput(_)))), "{:?}", run.outcome);
    let keys: Vec<_> = run.keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(keys, ["k0=2", "k1=1", "k2=1", "k3=1"]);
}

#[tokio::test(start_paused = true)]
async fn what_undoes_a_run_is_recorded_and_must_be_callable() {
    let undo = |role: &str| {
        let (role, endpoint, input) = (role.to_owned(), "create".to_owned(), "1".to_owned());
        Intent::OnCancel { role, endpoint, input }
    };
    let fake = Arc::new(Fake::flow(move |run, effects: Arc<dyn Effects>| async move {
        let (role, times) = if run.input.data == "100" { ("crm", 101) } else { ("crm", 1) };
        for _ in 0..times {
            does(&effects, undo(role)).await?.unwrap();
        }
        if run.input.data == "1" { does(&effects, undo("erp")).await } else { Ok(Ok("1".to_owned())) }
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let mut ends = Vec::new();
    for data in ["0", "1", "100"] {
        let id = runs.accept(vec![new_run_of(&acme(), "w", data)], None).await.unwrap().runs[0];
        let (run, steps) = runs.ended(&acme(), id).await;
        assert!(fake.calls.lock().is_empty(), "nothing is called unless the run is cancelled");
        ends.push((run.status, steps.len(), format!("{:?}", run.outcome)));
    }
    assert_eq!((ends[0].0, ends[0].1), (RunStatus::Succeeded, 1));
    assert_eq!((ends[1].0, ends[1].1), (RunStatus::Failed, 1));
    assert!(ends[1].2.contains("what undoes the run cannot be called: not found"), "{}", ends[1].2);
    assert_eq!((ends[2].0, ends[2].1), (RunStatus::Failed, 100));
    assert!(ends[2].2.contains("more than 100 calls that undo it"), "{}", ends[2].2);
}

#[tokio::test(start_paused = true)]
async fn a_step_remembers_its_place_and_the_definition_is_the_one_pinned() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        call(&effects, "chat", "post", "1").await?.unwrap();
        effects.mark("ä".repeat(150));
        call(&effects, "chat", "post", "2").await?.unwrap();
        Ok(Ok(format!("{:?}", effects.definition().await?)))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let text = "steps:\n- call: crm";
    let definition = world.blobs.put(text.into()).await.unwrap();
    let workflow = Workflow { definition: Some(definition), ..(*workflow_of(&acme(), "w", LONG)).clone() };
    let accepted = runs.accept(vec![NewRun { workflow: Arc::new(workflow), ..new_run() }, new_run()], None);
    let ids = accepted.await.unwrap().runs;
    let (run, steps) = runs.ended(&acme(), ids[0]).await;
    assert_eq!(run.outcome, Some(Outcome::Answered(format!("{text:?}"))));
    assert_eq!((steps[0].place.as_deref(), steps[1].place.as_deref()), (None, Some(&*"ä".repeat(100))));
    let (run, _) = runs.ended(&acme(), ids[1]).await;
    assert_eq!(run.outcome, Some(Outcome::Answered("\"\"".to_owned())), "no definition is the empty text");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_without_a_word_says_where_it_was_now_and_on_a_replay() {
    let fake = Arc::new(Fake::flow(|run, effects| async move {
        effects.mark("lead.yaml:4 created".to_owned());
        call(&effects, "chat", "post", "1").await?.unwrap();
        effects.mark("lead.yaml:7 odd".to_owned());
        if run.input.data == "1" {
            Ok(Err(CallError::Other("no".to_owned())))
        } else {
            Err(Stopped("trap".to_owned()))
        }
    }));
    let runs = World::new().process(&fake);
    let new = |data| new_run_of(&acme(), "w", data);
    let ids = runs.accept(vec![new("0"), new("1")], None).await.unwrap().runs;
    let (trapped, _) = runs.ended(&acme(), ids[0]).await;
    assert_eq!(trapped.failure.clone().unwrap().place.as_deref(), Some("lead.yaml:7 odd"));
    let (declined, _) = runs.ended(&acme(), ids[1]).await;
    assert_eq!(declined.failure.unwrap().place, None, "it said what it had to say");

    let by = By { who: "ada".to_owned(), why: String::new() };
    let (from, on) = (From::Start, On::Pinned); // all that is recorded is answered so
    let replay = Replay { from, on, input: None, dry: true, by, request: None, unless_replayed: false };
    let again = runs.replay(&acme(), trapped.id, replay).await.unwrap().run;
    let (again, _) = runs.ended(&acme(), again).await;
    assert_eq!(again.failure.unwrap().place, trapped.failure.unwrap().place);
}
