//! `wharf test`: a workflow, or a part of it, with made-up input.

use std::collections::BTreeMap;
use std::time::Duration;

use host_model::id::RunId;
use host_model::outcome::CallError;
use host_model::run::RunStatus;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Session;
use super::runs::Shown;
use crate::args::Test;
use crate::error::{CommandError, Exit};
use crate::input;
use crate::run_view;

/// As long as the server waits for a test.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    step: Option<String>,
    to_end: bool,
    given: BTreeMap<String, Box<RawValue>>,
    input: Option<Box<RawValue>>,
    answers: BTreeMap<String, Box<RawValue>>,
    errors: BTreeMap<String, Vec<CallError>>,
    from_run: Option<RunId>,
    live: bool,
}

/// [`Exit::Failed`] if the test did not end well.
pub(super) async fn run(session: &mut Session<'_>, test: Test) -> Result<Exit, CommandError> {
    let Test { workflow, step, to_end, given, data, answer, error, run, live } = test;
    let input = match &data {
        Some(data) => Some(input::data(Some(data), session.terminal)?),
        None => None,
    };
    let (given, answers) = (named(session, given)?, named(session, answer)?);
    let mut errors: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, error) in error {
        errors.entry(name).or_default().push(error);
    }
    let asked = Asked { step, to_end, given, input, answers, errors, from_run: run, live };
    let path = format!("api/v1/tenants/{}/workflows/{workflow}/test", session.tenant().await?);
    let body = session.api.post(&path).json(&asked).waiting(WAIT).value().await?;
    let Shown { run, steps } = session.api.read(&body)?;
    session.show(&body, || run_view::render(&run, &steps))?;
    Ok(if run.status == RunStatus::Succeeded { Exit::Done } else { Exit::Failed })
}

fn named(
    session: &mut Session<'_>,
    pairs: Vec<(String, String)>,
) -> Result<BTreeMap<String, Box<RawValue>>, CommandError> {
    let mut named = BTreeMap::new();
    for (name, value) in pairs {
        named.insert(name, input::data(Some(&value), session.terminal)?);
    }
    Ok(named)
}
