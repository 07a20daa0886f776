//! `wharf runs pause|resume|cancel|terminate|replay`.

use host_model::id::RunId;
use host_model::run::Run;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::Session;
use super::runs::{matched, now};
use crate::api::Answer;
use crate::args::{From, Reasoned, Replay};
use crate::error::{CommandError, Exit};
use crate::input;
use crate::table::one_line;

/// What became of one run.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Became {
    run: RunId,
    #[serde(default)]
    replayed_as: Option<RunId>,
    #[serde(default)]
    before: bool,
    #[serde(default)]
    error: Option<Why>,
}

#[derive(Deserialize, Serialize)]
struct Why {
    code: String,
    detail: String,
}

/// How to replay.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked<'a> {
    from: &'a From,
    current: bool,
    dry_run: bool,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<bool>,
}

pub(super) async fn order(
    session: &mut Session<'_>,
    path: &str,
    what: &str,
    Reasoned { id, why }: Reasoned,
) -> Result<Exit, CommandError> {
    let ask = session.api.post(&format!("{path}/{id}/{what}"));
    let body = ask.json(&json!({ "why": why })).value().await?;
    let run: Run = session.api.read(&body)?;
    session.show(&body, || format!("{} {}", run.id, run.status.as_str()))
}

pub(super) async fn replay(
    session: &mut Session<'_>,
    path: &str,
    replay: Replay,
) -> Result<Exit, CommandError> {
    let Some(id) = replay.id else { return all(session, path, &replay).await };
    let input = match &replay.input {
        Some(input) => Some(input::data(Some(input), session.terminal)?),
        None => None,
    };
    let asked = Asked { input, ..asked(&replay) };
    let body = session.api.post(&format!("{path}/{id}/replay")).json(&asked).value().await?;
    let became: Became = session.api.read(&body)?;
    session.show(&body, || said(&became))
}

fn asked(replay: &Replay) -> Asked<'_> {
    let Replay { from, current, dry_run, why, request, .. } = replay;
    let (current, dry_run, request) = (*current, *dry_run, request.as_deref());
    Asked { from, current, dry_run, why, request, input: None, again: None }
}

/// Page after page, each run at most once: it may be broken off and typed again.
async fn all(session: &mut Session<'_>, path: &str, replay: &Replay) -> Result<Exit, CommandError> {
    let asked = Asked { again: Some(replay.again), ..asked(replay) };
    let (mut after, mut exit) = (None, Exit::Done);
    let matched = matched(&replay.matching, now());
    loop {
        let mut query = matched.clone();
        query.extend(after.clone().map(|after| ("after", after)));
        let ask = session.api.ask(Method::POST, &format!("{path}/replay"), &query).json(&asked);
        let Answer { body, next, .. } = match ask.answer().await {
            Ok(answer) => answer,
            Err(error) => {
                session.terminal.warn("the same command goes on where it broke off")?;
                return Err(error.into());
            }
        };
        let page: Vec<Became> = session.api.read(&body)?;
        if page.iter().any(|became| became.error.is_some()) {
            exit = Exit::Failed;
        }
        if !page.is_empty() {
            session.show(&body, || page.iter().map(said).collect::<Vec<_>>().join("\n"))?;
        }
        match next {
            Some(next) if after.as_ref() != Some(&next) => after = Some(next),
            _ => return Ok(exit),
        }
    }
}

fn said(became: &Became) -> String {
    let Became { run, replayed_as, before, error } = became;
    match (replayed_as, error) {
        (Some(new), _) if *before => format!("{run} was replayed before as {new}"),
        (Some(new), _) => format!("{run} replayed as {new}"),
        (None, Some(why)) => format!("{run} not replayed: {} ({})", one_line(&why.detail), why.code),
        (None, None) => format!("{run} not replayed"),
    }
}
