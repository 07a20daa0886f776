//! The dead-letter list.

use std::sync::Arc;

use host_model::effects::Effects;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::{CallError, Finished, Outcome, Usage};
use host_model::run::RunStatus;
use host_store::faults::FaultyStore;

use super::world::*;
use crate::repair::{Action, By, From, On, Replay};
use crate::{DismissError, Letters, Runs};

/// Fails, answers or diverges as its input says.
fn as_told() -> Arc<Fake> {
    let fake = Fake::flow(|run, effects: Arc<dyn Effects>| async move {
        let said = call(&effects, "crm", "create", run.input.data.clone()).await?;
        match run.input.data.as_str() {
            "\"trap\"" => Err(host_model::effects::Stopped("it crashed".to_owned())),
            _ => Ok(said),
        }
    });
    Arc::new(fake.endpoint(|call| async move {
        let outcome = match call.input.as_str() {
            "\"permanent\"" => Outcome::Declined(CallError::Permanent("no".to_owned())),
            "\"retry\"" => Outcome::Declined(CallError::RateLimited(Some(u64::MAX))),
            _ => Outcome::Answered("1".to_owned()),
        };
        Ok(Finished { outcome, usage: Usage::default(), log: Vec::new() })
    }))
}

async fn run_of(runs: &Arc<Runs>, workflow: &str, data: &str) -> RunId {
    let new = new_run_of(&acme(), workflow, &format!("\"{data}\""));
    let id = runs.accept(vec![new], None).await.unwrap().runs[0];
    runs.ended(&acme(), id).await;
    id
}

async fn listed(runs: &Runs, tenant: &TenantId, letters: &Letters) -> Vec<RunId> {
    let page = runs.dead_letters(tenant, letters, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.letters.into_iter().map(|letter| letter.run.id).collect()
}

fn by(why: &str) -> By {
    By { who: "ada".to_owned(), why: why.to_owned() }
}

fn replay(dry: bool) -> Replay {
    let (from, on, by) = (From::Start, On::Pinned, by(""));
    Replay { from, on, input: None, dry, by, request: None, unless_replayed: false }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_succeed_is_on_the_list_with_its_error_its_step_and_its_limits() {
    let world = World::new();
    let runs = world.process(&as_told());
    run_of(&runs, "intake", "fine").await;
    world.clock.advance(std::time::Duration::from_millis(5));
    let first = run_of(&runs, "intake", "permanent").await;
    world.clock.advance(std::time::Duration::from_millis(5));
    let second = run_of(&runs, "report", "retry").await;
    world.clock.advance(std::time::Duration::from_millis(5));
    let third = run_of(&runs, "intake", "trap").await;
    let all = Letters::default();
    assert_eq!(listed(&runs, &acme(), &all).await, [third, second, first], "newest first");
    assert_eq!(listed(&runs, &"rival".parse().unwrap(), &all).await, []);
    let of = |workflow: Option<&str>, kind: Option<&str>| Letters {
        workflow: workflow.map(|name| name.parse().unwrap()),
        kind: kind.map(str::to_owned),
    };
    assert_eq!(listed(&runs, &acme(), &of(Some("report"), None)).await, [second]);
    assert_eq!(listed(&runs, &acme(), &of(None, Some("permanent"))).await, [first]);
    assert_eq!(listed(&runs, &acme(), &of(None, Some("trapped"))).await, [third]);
    assert_eq!(listed(&runs, &acme(), &of(Some("report"), Some("permanent"))).await, []);

    let page = runs.dead_letters(&acme(), &all, None, 2).await.unwrap();
    assert_eq!((page.letters.len(), page.next), (2, Some(second)));
    let letter = page.letters.into_iter().nth(1).unwrap();
    assert!(letter.gave_up.unwrap().contains("86400000"), "why it was not tried again");
    let failure = letter.run.failure.unwrap();
    let step = failure.step.unwrap();
    assert_eq!((failure.kind.as_str(), step.number, step.kind.as_str()), ("rate-limited", 0, "rate-limited"));
    assert!(failure.bounds.fuel.is_some() && failure.retry.tries > 1);
    assert_eq!(letter.run.outcome, Some(Outcome::Declined(CallError::RateLimited(Some(u64::MAX)))));
    let rest = runs.dead_letters(&acme(), &all, page.next, 2).await.unwrap();
    assert_eq!((rest.letters[0].run.id, rest.letters.len(), rest.next), (first, 1, None));
}

#[tokio::test(start_paused = true)]
async fn a_replay_takes_a_run_off_the_list_and_a_dry_one_does_not() {
    let world = World::new();
    let runs = world.process(&as_told());
    let id = run_of(&runs, "intake", "permanent").await;
    let dry = runs.replay(&acme(), id, replay(true)).await.unwrap().run;
    assert_eq!(runs.ended(&acme(), dry).await.0.status, RunStatus::Failed);
    assert_eq!(listed(&runs, &acme(), &Letters::default()).await, [id], "the dry run is not on it either");
    let again = runs.replay(&acme(), id, replay(false)).await.unwrap().run;
    assert_eq!(runs.ended(&acme(), again).await.0.status, RunStatus::Failed);
    assert_eq!(listed(&runs, &acme(), &Letters::default()).await, [again], "it failed in its turn");
    let late = runs.dismiss(&acme(), id, by("")).await.unwrap_err();
    assert!(late.to_string().contains(&format!("replayed as {again}")), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_dismissed_once_by_its_tenant_and_leaves_a_trace() {
    let world = World::new();
    let runs = world.process(&as_told());
    let id = run_of(&runs, "intake", "permanent").await;
    let fine = run_of(&runs, "intake", "fine").await;
    let rival = runs.dismiss(&"rival".parse().unwrap(), id, by("")).await.unwrap_err();
    assert!(matches!(rival, DismissError::Absent(_)), "{rival}");
    let run = runs.dismiss(&acme(), id, by("done by hand")).await.unwrap();
    let trace = run.interventions.last().unwrap();
    assert_eq!(
        (trace.what.as_str(), trace.who.as_str(), trace.why.as_str()),
        ("dismissed", "ada", "done by hand")
    );
    assert_eq!(listed(&runs, &acme(), &Letters::default()).await, []);
    for not_there in [id, fine] {
        let refused = runs.dismiss(&acme(), not_there, by("")).await.unwrap_err();
        assert!(matches!(refused, DismissError::NotListed { .. }), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_person_ended_is_not_on_the_list() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        sleep(&effects, 3_600_000).await?;
        Ok(Ok("1".to_owned()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    for action in [Action::Cancel, Action::Terminate] {
        let id = accept_one(&runs).await;
        runs.intervene(&acme(), id, action, by("")).await.unwrap();
        runs.ended(&acme(), id).await;
    }
    assert_eq!(listed(&runs, &acme(), &Letters::default()).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_on_the_list_if_and_only_if_its_end_is_durable() {
    for last in 1..=3 {
        let world = World::new();
        let store = Arc::new(FaultyStore::new(Arc::clone(&world.inner)).die_after(last));
        let runs = world.faulty(&store, &as_told());
        let new = new_run_of(&acme(), "intake", "\"permanent\"");
        let id = runs.accept(vec![new], None).await.unwrap().runs[0];
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        runs.kill().await;
        let runs = world.process(&as_told());
        let over = runs.get(&acme(), id).await.unwrap().unwrap().status.is_over();
        assert_eq!(listed(&runs, &acme(), &Letters::default()).await.len(), usize::from(over), "{last}");
        runs.recover().await.unwrap();
        runs.ended(&acme(), id).await;
        assert_eq!(listed(&runs, &acme(), &Letters::default()).await, [id]);
    }
}
