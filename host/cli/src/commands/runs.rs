//! `wharf runs`: what ran, and how.

use chrono::SecondsFormat;
use host_model::run::{Run, Step};
use http::Method;
use serde::Deserialize;

use super::{Done, Session, repair};
use crate::api::Answer;
use crate::args::Runs;
use crate::error::{CommandError, Exit};
use crate::input;
use crate::run_view;
use crate::table::table;
use crate::units;

/// A run with its steps.
#[derive(Deserialize)]
struct Shown {
    run: Run,
    steps: Vec<Step>,
}

pub(super) async fn run(session: &mut Session<'_>, command: Runs) -> Result<Exit, CommandError> {
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/runs");
    match command {
        Runs::Show { id } => {
            let body = session.api.get(&format!("{path}/{id}")).value().await?;
            let Shown { run, steps } = session.api.read(&body)?;
            session.show(&body, || run_view::render(&run, &steps))
        }
        Runs::Send { id, event, data } => {
            let data = input::data(data.as_deref(), session.terminal)?;
            let path = format!("{path}/{id}/events/{event}");
            session.api.ask(Method::POST, &path, &[("", ""); 0]).json(&data).value().await?;
            let done = Done {
                kind: "event".to_owned(),
                name: event.to_string(),
                action: "sent".to_owned(),
                warnings: Vec::new(),
            };
            session.show(&done, || format!("{id}: {done}"))
        }
        Runs::Pause(run) => repair::order(session, &path, "pause", run).await,
        Runs::Resume(run) => repair::order(session, &path, "resume", run).await,
        Runs::Cancel(run) => repair::order(session, &path, "cancel", run).await,
        Runs::Terminate(run) => repair::order(session, &path, "terminate", run).await,
        Runs::Replay(replay) => repair::replay(session, &path, replay).await,
        Runs::List { workflow, status, after, limit } => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(workflow.map(|workflow| ("workflow", workflow.to_string())));
            query.extend(status.map(|status| ("status", status.as_str().to_owned())));
            query.extend(after.map(|after| ("after", after.to_string())));
            let Answer { body, next, .. } = session.api.ask(Method::GET, &path, &query).answer().await?;
            let runs: Vec<Run> = session.api.read(&body)?;
            session.show(&body, || listed(&runs))?;
            if let Some(next) = next {
                session.terminal.warn(&format!("more: add `--after {next}`"))?;
            }
            Ok(Exit::Done)
        }
    }
}

fn listed(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "no such runs".to_owned();
    }
    let rows = runs.iter().map(|run| {
        let took = run.finished_at.map(|end| run_view::between(run.accepted_at, end));
        [
            run.id.to_string(),
            run.status.as_str().to_owned(),
            run.workflow.to_string(),
            run.accepted_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            took.map_or_else(|| "-".to_owned(), units::micros),
            run.steps.to_string(),
        ]
    });
    table(["run", "status", "workflow", "accepted", "took", "steps"], &rows.collect::<Vec<_>>())
}
