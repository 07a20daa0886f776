//! `wharf run`: start a run by hand, and wait for it if wished.

use std::time::Duration;

use host_model::id::RunId;
use host_model::name::WorkflowName;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;

/// A run that is done.
#[derive(Deserialize)]
struct Finished {
    run: RunId,
    result: Value,
}

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
        let Finished { run, result } = session.api.read(&answer.body)?;
        if !session.json {
            // On the error stream, so that the output is the result alone.
            session.terminal.warn(&format!("{run} succeeded:"))?;
        }
        return session.show(&answer.body, || result.to_string());
    }
    let Accepted { run } = session.api.read(&answer.body)?;
    session.show(&answer.body, || format!("{run} accepted"))?;
    if wait.is_none() {
        return Ok(Exit::Done);
    }
    session.terminal.warn(&format!("not done yet, and going on: `wharf runs show {run}`"))?;
    Ok(Exit::TryAgain)
}
