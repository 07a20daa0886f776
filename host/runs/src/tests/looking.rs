//! Lists, single runs, waiting.

use std::sync::Arc;
use std::time::Duration;

use host_model::name::TenantId;
use host_model::outcome::{CallError, Outcome};
use host_model::run::RunStatus;

use super::world::*;
use crate::Filter;

fn picky() -> Arc<Fake> {
    Arc::new(Fake::flow(|run, _| async move {
        match run.input.data.as_str() {
            "\"bad\"" => Ok(Err(CallError::Permanent("no".to_owned()))),
            "\"hang\"" => std::future::pending().await,
            _ => Ok(Ok(run.input.data)),
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn pages_come_newest_first_and_filters_hold_on_every_page() {
    let (world, fake) = (World::new(), picky());
    let runs = world.process(&fake);
    let mut ids = Vec::new();
    for n in 0..25 {
        world.clock.advance(Duration::from_millis(1));
        let (name, data) = (["intake", "report"][n % 2], ["1", "\"bad\"", "2"][n % 3]);
        let id = runs.accept(vec![new_run_of(&acme(), name, data)], None).await.unwrap().runs[0];
        runs.ended(&acme(), id).await;
        ids.insert(0, id);
    }
    let all = async |filter: Filter, limit| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = runs.list(&acme(), &filter, after, limit).await.unwrap();
            assert!(page.runs.len() <= limit);
            all.extend(page.runs);
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    };
    let listed = all(Filter::default(), 10).await;
    assert_eq!(listed.iter().map(|run| run.id).collect::<Vec<_>>(), ids);
    assert!(listed.iter().all(|run| run.input.data.is_empty()));

    let failed = all(Filter { status: Some(RunStatus::Failed), ..Filter::default() }, 3).await;
    assert_eq!(failed.len(), 8);
    let no = Outcome::Declined(CallError::Permanent("no".to_owned()));
    assert!(failed.iter().all(|run| run.outcome.as_ref() == Some(&no)));

    let (workflow, status) = (Some("report".parse().unwrap()), Some(RunStatus::Succeeded));
    let filter = Filter { workflow, status, ..Filter::default() };
    let reports = all(filter, 3).await;
    assert_eq!(reports.len(), 8);
    assert!(reports.iter().all(|run| run.workflow.as_str() == "report" && run.outcome.is_none()));
}

#[tokio::test(start_paused = true)]
async fn another_tenants_run_is_absent() {
    let (world, fake) = (World::new(), picky());
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    for name in ["rival", "acme-2", "acm"] {
        let rival: TenantId = name.parse().unwrap();
        assert!(runs.get(&rival, id).await.unwrap().is_none());
        assert!(runs.show(&rival, id).await.unwrap().is_none());
        assert!(runs.wait(&rival, id, LONG).await.unwrap().is_none());
        assert!(runs.steps(&rival, id, None).await.unwrap().steps.is_empty());
        assert!(runs.list(&rival, &Filter::default(), None, 9).await.unwrap().runs.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_the_end_or_gets_what_is_known_at_the_deadline() {
    let (world, fake) = (World::new(), picky());
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    let run = runs.wait(&acme(), id, LONG).await.unwrap().unwrap();
    assert_eq!(run.outcome, Some(Outcome::Answered(r#"{"name":"Ada"}"#.to_owned())));
    assert_eq!(runs.wait(&acme(), id, Duration::ZERO).await.unwrap().unwrap(), run, "also afterwards");

    let hang = runs.accept(vec![new_run_of(&acme(), "w", "\"hang\"")], None).await.unwrap().runs[0];
    let run = runs.wait(&acme(), hang, Duration::from_secs(3)).await.unwrap().unwrap();
    assert_eq!((run.status, run.outcome), (RunStatus::Accepted, None));
}

#[tokio::test(start_paused = true)]
async fn many_steps_come_in_pages() {
    let fake = Arc::new(Fake::flow(|_, effects| async move {
        for n in 0..1_100 {
            call(&effects, "chat", "post", n.to_string()).await?.unwrap();
        }
        Ok(Ok("1".to_owned()))
    }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    runs.wait(&acme(), id, LONG).await.unwrap();
    let (run, first) = runs.show(&acme(), id).await.unwrap().unwrap();
    assert_eq!((run.steps, first.steps.len()), (1_100, 1_000));
    let rest = runs.steps(&acme(), id, first.next).await.unwrap();
    assert_eq!((rest.steps[0].number, rest.steps.len(), rest.next), (1_000, 100, None));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_large_steps_is_short() {
    let fake = Fake::flow(|_, effects| async move {
        for _ in 0..12 {
            call(&effects, "chat", "post", "1").await?.unwrap();
        }
        Ok(Ok("1".to_owned()))
    });
    let fake = Arc::new(fake.endpoint(|_| async { Ok(answered("1".repeat(1 << 20))) }));
    let world = World::new();
    let runs = world.process(&fake);
    let id = accept_one(&runs).await;
    runs.wait(&acme(), id, LONG).await.unwrap();
    let page = runs.steps(&acme(), id, None).await.unwrap();
    assert_eq!((page.steps.len(), page.next), (8, Some(7)));
    assert_eq!(runs.steps(&acme(), id, page.next).await.unwrap().steps.len(), 4);
}
