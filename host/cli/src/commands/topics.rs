//! `wharf topics publish`: one message for every workflow that subscribes.

use serde::Deserialize;

use super::Session;
use crate::args::Topics;
use crate::error::{CommandError, Exit};
use crate::input;

#[derive(Deserialize)]
struct Started {
    runs: Vec<String>,
}

pub(super) async fn run(session: &mut Session<'_>, topics: Topics) -> Result<Exit, CommandError> {
    let Topics::Publish { topic, data, idempotency_key } = topics;
    let data = input::data(data.as_deref(), session.terminal)?;
    let path = format!("api/v1/tenants/{}/topics/{topic}", session.tenant().await?);
    let mut ask = session.api.post(&path).json(&data);
    if let Some(key) = &idempotency_key {
        ask = ask.header("idempotency-key", key);
    }
    let body = ask.value().await?;
    let Started { runs } = session.api.read(&body)?;
    session.show(&body, || match runs.as_slice() {
        [] => "published; no workflow wants it".to_owned(),
        runs => runs.iter().map(|run| format!("{run} accepted")).collect::<Vec<_>>().join("\n"),
    })
}
