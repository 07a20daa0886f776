//! `wharf runs dead-letters` and `wharf runs dismiss`: what failed and waits
//! for somebody to look after it.

use chrono::SecondsFormat;
use host_model::id::RunId;
use host_model::run::{DeadLetter, Run};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use crate::api::Answer;
use crate::args::{Dismiss, WhichLetters};
use crate::error::{CommandError, Exit};
use crate::run_view;
use crate::table::one_line;

/// What became of one letter.
#[derive(Deserialize, Serialize)]
struct Dismissed {
    run: RunId,
    #[serde(default)]
    error: Option<String>,
}

fn query(which: &WhichLetters, after: Option<String>) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(which.workflow.as_ref().map(|workflow| ("workflow", workflow.to_string())));
    query.extend(which.kind.as_ref().map(|kind| ("kind", kind.clone())));
    query.extend(after.map(|after| ("after", after)));
    query
}

pub(super) async fn list(
    session: &mut Session<'_>,
    tenant: &str,
    which: &WhichLetters,
    after: Option<RunId>,
    limit: u32,
) -> Result<Exit, CommandError> {
    let mut query = query(which, after.map(|after| after.to_string()));
    query.push(("limit", limit.to_string()));
    let path = format!("api/v1/tenants/{tenant}/dead-letters");
    let Answer { body, next, .. } = session.api.ask(Method::GET, &path, &query).answer().await?;
    let letters: Vec<DeadLetter> = session.api.read(&body)?;
    session.show(&body, || match letters.as_slice() {
        [] => "no dead letters".to_owned(),
        letters => letters.iter().map(said).collect::<Vec<_>>().join("\n"),
    })?;
    if let Some(next) = next {
        session.terminal.warn(&format!("more: add `--after {next}`"))?;
    }
    Ok(Exit::Done)
}

/// A letter for people.
fn said(letter: &DeadLetter) -> String {
    let DeadLetter { run, tries, gave_up } = letter;
    let at = run.finished_at.unwrap_or(run.accepted_at).to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut lines = vec![format!("{} {} {}, {at}", run.id, run.workflow, run.status.as_str())];
    lines.extend(run.outcome.iter().map(|outcome| format!("  result   {}", run_view::ended(outcome))));
    lines.extend(run.failure.iter().flat_map(run_view::failure_lines));
    lines.extend(tries.iter().enumerate().map(|(n, one)| {
        let at = one.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        format!("    try {:<2} {at} {}", n + 1, one_line(&one.why))
    }));
    lines.extend(gave_up.iter().map(|why| format!("    not tried again: {}", one_line(why))));
    lines.join("\n")
}

pub(super) async fn dismiss(
    session: &mut Session<'_>,
    tenant: &str,
    dismiss: Dismiss,
) -> Result<Exit, CommandError> {
    let why = json!({ "why": dismiss.why });
    let Some(id) = dismiss.id else { return all(session, tenant, &dismiss).await };
    let path = format!("api/v1/tenants/{tenant}/runs/{id}/dismiss");
    let body = session.api.post(&path).json(&why).value().await?;
    let run: Run = session.api.read(&body)?;
    session.show(&body, || format!("{} dismissed", run.id))
}

/// Page after page; typed again it goes on with those that are left.
async fn all(session: &mut Session<'_>, tenant: &str, dismiss: &Dismiss) -> Result<Exit, CommandError> {
    let path = format!("api/v1/tenants/{tenant}/dead-letters/dismiss");
    let why = json!({ "why": dismiss.why });
    let mut after = None;
    loop {
        let ask = session.api.ask(Method::POST, &path, &query(&dismiss.which, after.clone())).json(&why);
        let Answer { body, next, .. } = ask.answer().await?;
        let page: Vec<Dismissed> = session.api.read(&body)?;
        if !page.is_empty() || (after.is_none() && next.is_none()) {
            session.show(&body, || match page.as_slice() {
                [] => "no dead letters".to_owned(),
                page => page.iter().map(became).collect::<Vec<_>>().join("\n"),
            })?;
        }
        match next {
            Some(next) if after.as_ref() != Some(&next) => after = Some(next),
            _ => return Ok(Exit::Done),
        }
    }
}

fn became(Dismissed { run, error }: &Dismissed) -> String {
    match error {
        None => format!("{run} dismissed"),
        Some(why) => format!("{run} not dismissed: {}", one_line(why)),
    }
}
