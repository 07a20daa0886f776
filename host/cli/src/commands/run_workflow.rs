//! `wharf run`: start a run by hand, and wait for it if wished.

use std::time::Duration;

use host_model::id::RunId;
use host_model::name::WorkflowName;
use http::StatusCode;
use serde::Deserialize;

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;

/// A run that is durable and not done yet.
#[derive(Deserialize)]
struct Accepted {
    run: RunId,
}

pub(super) async fn run(
    session: &mut Session<'_>,
    workflow: &WorkflowName,
    data: Option<&str>,
    wait: Option<u32>,
    key: Option<String>,
) -> Result<Exit, CommandError> {
    let data = input::data(data, session.terminal)?;
    let path = format!("run/{}/{workflow}", session.tenant().await?);
    let mut ask = session.api.post(&path).json(&data);
    ask = match wait {
        None => ask.header("prefer", "respond-async"),
        Some(seconds) => {
            ask.header("prefer", &format!("wait={seconds}")).waiting(Duration::from_secs(seconds.into()))
        }
    };
    if let Some(key) = &key {
        ask = ask.header("idempotency-key", key);
    }
    let answer = ask.answer().await?;
    if answer.status != StatusCode::ACCEPTED {
        return session.show(&answer.body, || answer.body.to_string());
    }
    let Accepted { run } = session.api.read(&answer.body)?;
    session.show(&answer.body, || format!("{run} accepted"))?;
    let Some(seconds) = wait else {
        return Ok(Exit::Done);
    };
    let warning = format!("not done after {seconds} s, and going on: `wharf runs show {run}`");
    session.terminal.warn(&warning)?;
    Ok(Exit::TryAgain)
}
