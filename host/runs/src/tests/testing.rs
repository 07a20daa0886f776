//! Tests of a part of a workflow: nothing goes out unless it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use host_model::effects::Intent;
use host_model::id::RunId;
use host_model::outcome::{CallError, Outcome};
use host_model::run::{RunStatus, Tested};
use serde_json::json;

use super::world::*;
use crate::{Filter, Letters, StepTest, StepTestError};

fn test(answers: &[(&str, &str)]) -> StepTest {
    StepTest {
        workflow: workflow_of(&acme(), "lead-intake", LONG),
        input: Some("{\"name\":\"made up\"}".to_owned()),
        tested: Tested { step: None, to_end: false, live: false },
        answers: answers.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        errors: BTreeMap::new(),
        of: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_with_the_answers_of_a_run_ends_like_it_and_nothing_goes_out() {
    let fake = Arc::new(Fake::flow(six_steps));
    let runs = World::new().process(&fake);
    let (real, steps) = runs.ended(&acme(), accept_one(&runs).await).await;
    fake.calls.lock().clear();
    let recorded = StepTest { input: None, of: Some(real.id), ..test(&[]) };
    let (tested, played) = runs.ended(&acme(), runs.test(recorded).await.unwrap()).await;
    assert_eq!((&tested.status, &tested.outcome), (&RunStatus::Succeeded, &real.outcome));
    assert_eq!(tested.input.data, real.input.data, "its message too, if no input is made up");
    assert!(tested.test.is_some() && real.test.is_none());
    let told =
        |steps: &[host_model::run::Step]| steps.iter().map(|it| it.outcome.clone()).collect::<Vec<_>>();
    assert_eq!(told(&played), told(&steps));
    assert!(fake.calls.lock().is_empty(), "{:?}", fake.calls.lock());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_the_test_and_is_named() {
    let fake = Arc::new(Fake::flow(six_steps));
    let runs = World::new().process(&fake);
    let some = test(&[("crm.create", "1"), ("mail.send", "2")]);
    let (run, steps) = runs.ended(&acme(), runs.test(some).await.unwrap()).await;
    let Some(Outcome::Trapped(why)) = &run.outcome else { panic!("{run:?}") };
    assert!(why.contains("no answer for `chat.post`"), "{why}");
    assert_eq!((run.status, steps.len()), (RunStatus::Failed, 2));
    assert!(fake.calls.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_made_up_error_of_any_kind_is_heard_as_in_a_run_and_then_the_answer() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let mut kinds = Vec::new();
        loop {
            match call(&effects, "crm", "create", "1").await? {
                Ok(answer) => return Ok(Ok(json!([kinds, answer]).to_string())),
                Err(error) => kinds.push(error.kind()),
            }
        }
    }));
    let runs = World::new().process(&fake);
    let text = || "made up".to_owned();
    let all = vec![
        CallError::InvalidInput(text()),
        CallError::Unauthorized(text()),
        CallError::NotFound(text()),
        CallError::Conflict(text()),
        CallError::RateLimited(Some(60_000)),
        CallError::Retry(text()),
        CallError::Permanent(text()),
        CallError::Other(text()),
    ];
    // What may pass is tried again first; what does not is heard.
    let kinds: Vec<_> = all.iter().filter(|error| !error.may_pass()).map(CallError::kind).collect();
    let errors = BTreeMap::from([("crm.create".to_owned(), all)]);
    let id = runs.test(StepTest { errors, ..test(&[("crm.create", "7")]) }).await.unwrap();
    let (run, steps) = runs.ended(&acme(), id).await;
    assert_eq!(run.outcome, Some(Outcome::Answered(json!([kinds, "7"]).to_string())));
    let tries: Vec<Vec<_>> =
        steps.iter().map(|step| step.tries.iter().map(|one| one.kind.as_str()).collect()).collect();
    assert_eq!((tries[4].as_slice(), tries.concat().len()), (&["rate-limited", "retry"][..], 2), "{tries:?}");
    assert!(fake.calls.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_test_that_failed_is_shown_by_its_id_and_in_no_list() {
    let fake = Arc::new(Fake::flow(six_steps));
    let runs = World::new().process(&fake);
    let real = accept_one(&runs).await;
    runs.ended(&acme(), real).await;
    let id = runs.test(test(&[("crm.create", "1")])).await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!(run.status, RunStatus::Failed);
    assert_eq!(runs.get(&acme(), id).await.unwrap(), Some(run));
    assert!(runs.dead_letters(&acme(), &Letters::default(), None, 10).await.unwrap().letters.is_empty());
    let by_workflow = Filter { workflow: Some("lead-intake".parse().unwrap()), ..Filter::default() };
    for (filter, want) in [
        (Filter::default(), vec![real]),
        (by_workflow, vec![real]),
        (Filter { status: Some(RunStatus::Failed), ..Filter::default() }, vec![]),
        (Filter { error: Some("trapped".to_owned()), ..Filter::default() }, vec![]),
    ] {
        let page = runs.list(&acme(), &filter, None, 10).await.unwrap();
        assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), want, "{filter:?}");
        assert_eq!(page.next, None);
    }
}

#[tokio::test(start_paused = true)]
async fn events_children_topics_and_time_are_played_too() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        let intents = [
            Intent::Event { name: "approved".to_owned(), timeout_ms: None },
            Intent::Workflow { workflow: "report".to_owned(), input: "1".to_owned() },
            Intent::Publish { topic: "leads".to_owned(), data: "1".to_owned() },
            Intent::Sleep { ms: u64::MAX },
            Intent::SetKey { name: "customer".to_owned(), value: "4711".to_owned() },
        ];
        let mut told = Vec::new();
        for intent in intents {
            let pending = effects.start(intent).await?;
            told.push(effects.wait(pending).await?.unwrap());
        }
        Ok(Ok(json!(told).to_string()))
    }));
    let runs = World::new().process(&fake);
    let all = test(&[("event:approved", "true"), ("workflow:report", "2"), ("topic:leads", "3")]);
    let (run, _) = runs.ended(&acme(), runs.test(all).await.unwrap()).await;
    let told = json!(["true", "2", "3", "null", "null"]).to_string();
    assert_eq!(run.outcome, Some(Outcome::Answered(told)));
    assert_eq!(run.keys, BTreeMap::new(), "nobody who looks for the customer finds a test");
}

#[tokio::test(start_paused = true)]
async fn a_live_test_makes_its_calls() {
    let fake = Arc::new(Fake::flow(six_steps));
    let runs = World::new().process(&fake);
    let live = Tested { step: Some("create".to_owned()), to_end: true, live: true };
    let id = runs.test(StepTest { tested: live.clone(), ..test(&[]) }).await.unwrap();
    let (run, _) = runs.ended(&acme(), id).await;
    assert_eq!((run.status, run.test), (RunStatus::Succeeded, Some(live)));
    assert_eq!(fake.calls.lock().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_test_that_a_crash_cut_short_goes_on_with_the_same_answers() {
    let fake = Arc::new(Fake::flow(six_steps));
    let world = World::new();
    let runs = world.process(&fake);
    let (real, _) = runs.ended(&acme(), accept_one(&runs).await).await;
    let id = runs.test(StepTest { of: Some(real.id), input: None, ..test(&[]) }).await.unwrap();
    runs.kill().await;
    let calls = fake.calls.lock().len();
    let again = world.process(&fake);
    again.recover().await.unwrap();
    let (tested, _) = again.ended(&acme(), id).await;
    assert_eq!(tested.outcome, real.outcome);
    assert_eq!(fake.calls.lock().len(), calls);
}

#[tokio::test(start_paused = true)]
async fn the_answers_of_a_run_that_is_not_there_are_absent() {
    let runs = World::new().process(&Arc::new(Fake::flow(six_steps)));
    let of = Some(RunId::from_bytes([7; 16]));
    let refused = runs.test(StepTest { of, ..test(&[]) }).await;
    assert!(matches!(refused, Err(StepTestError::Absent(_))), "{refused:?}");
    let no_json = runs.test(StepTest { input: Some("{".to_owned()), ..test(&[]) }).await;
    assert!(matches!(no_json, Err(StepTestError::Input(_))), "{no_json:?}");
}
