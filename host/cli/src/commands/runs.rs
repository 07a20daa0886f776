//! `wharf runs`: what ran, and how.

use chrono::SecondsFormat;
use host_model::clock::Timestamp;
use host_model::run::{Run, Step};
use http::Method;
use serde::Deserialize;

use super::{Done, Session, dead_letters, repair};
use crate::api::Answer;
use crate::args::{Matching, Runs, When};
use crate::error::{CommandError, Exit};
use crate::input;
use crate::run_view;
use crate::table::table;
use crate::units;

/// A run with its steps.
#[derive(Deserialize)]
pub(super) struct Shown {
    pub(super) run: Run,
    pub(super) steps: Vec<Step>,
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
                waits: None,
            };
            session.show(&done, || format!("{id}: {}", done.told("")))
        }
        Runs::Pause(run) => repair::order(session, &path, "pause", run).await,
        Runs::Resume(run) => repair::order(session, &path, "resume", run).await,
        Runs::Cancel(run) => repair::order(session, &path, "cancel", run).await,
        Runs::Terminate(run) => repair::order(session, &path, "terminate", run).await,
        Runs::DeadLetters { which, after, limit } => {
            dead_letters::list(session, tenant.as_str(), &which, after, limit).await
        }
        Runs::Dismiss(dismiss) => dead_letters::dismiss(session, tenant.as_str(), dismiss).await,
        Runs::Replay(replay) => repair::replay(session, &path, replay).await,
        Runs::List { matching, after, limit } => {
            let mut query = vec![("limit", limit.to_string())];
            query.extend(matched(&matching, now()));
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

/// The clock of whoever types.
#[expect(
    clippy::disallowed_methods,
    reason = "`12h` is so long before somebody typed it; nothing else is timed"
)]
pub(super) fn now() -> Timestamp {
    chrono::Utc::now()
}

/// A point in time as a query says it.
pub(super) fn instant(when: When, now: Timestamp) -> String {
    let at = match when {
        When::At(at) => at,
        When::Ago(ago) => now.checked_sub_signed(ago).unwrap_or(Timestamp::UNIX_EPOCH),
    };
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The query of a filter.
pub(super) fn matched(matching: &Matching, now: Timestamp) -> Vec<(&'static str, String)> {
    let Matching { workflow, status, since, until, error, connection, keys } = matching;
    let mut query = Vec::new();
    query.extend(workflow.as_ref().map(|workflow| ("workflow", workflow.to_string())));
    query.extend(status.map(|status| ("status", status.as_str().to_owned())));
    query.extend(since.map(|since| ("since", instant(since, now))));
    query.extend(until.map(|until| ("until", instant(until, now))));
    query.extend(error.as_ref().map(|error| ("error", error.clone())));
    query.extend(connection.as_ref().map(|connection| ("connection", connection.to_string())));
    query.extend(keys.iter().map(|key| ("key", key.clone())));
    query
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

#[test]
fn what_is_typed_becomes_the_query_with_times_as_instants() {
    let now = Timestamp::UNIX_EPOCH + chrono::TimeDelta::days(2);
    let matching = Matching {
        workflow: Some("lead-intake".parse().unwrap()),
        status: Some(host_model::run::RunStatus::Failed),
        since: Some(When::Ago(chrono::TimeDelta::hours(36))),
        until: Some(When::At(now)),
        error: Some("rate-limited".to_owned()),
        connection: Some("acme-crm".parse().unwrap()),
        keys: vec!["customer:4711".to_owned(), "order:1".to_owned()],
    };
    let query: Vec<_> =
        matched(&matching, now).iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        query.join(" "),
        "workflow=lead-intake status=failed since=1970-01-01T12:00:00Z until=1970-01-03T00:00:00Z \
         error=rate-limited connection=acme-crm key=customer:4711 key=order:1"
    );
}
