//! `wharf call`: one outbound endpoint, by hand, outside any run.

use host_model::name::{ConnectionName, EndpointName};
use host_model::outcome::{LogLine, Outcome, Usage};
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;
use crate::run_view;

/// What a check found.
#[derive(Deserialize)]
struct Checked {
    answer: String,
}

/// A call with all that is known of it.
#[derive(Deserialize)]
struct Report {
    outcome: Outcome<Value>,
    usage: Usage,
    log: Vec<LogLine>,
}

pub(super) async fn call(
    session: &mut Session<'_>,
    connection: &ConnectionName,
    endpoint: &EndpointName,
    data: Option<&str>,
    report: bool,
) -> Result<Exit, CommandError> {
    let data = input::data(data, session.terminal)?;
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/connections/{connection}/call/{endpoint}");
    let body = session.api.ask(Method::POST, &path, telling(report)).json(&data).value().await?;
    if report { reported(session, &body) } else { session.show(&body, || body.to_string()) }
}

pub(super) async fn check(
    session: &mut Session<'_>,
    connection: &ConnectionName,
    report: bool,
) -> Result<Exit, CommandError> {
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/connections/{connection}/check");
    let body = session.api.ask(Method::POST, &path, telling(report)).value().await?;
    if report {
        return reported(session, &body);
    }
    let Checked { answer } = session.api.read(&body)?;
    session.show(&body, || format!("connection {connection}: {answer}"))
}

fn telling(report: bool) -> &'static [(&'static str, &'static str)] {
    if report { &[("report", "true")] } else { &[] }
}

/// A report is always an answer; what it reports may be a failure.
fn reported(session: &mut Session<'_>, body: &Value) -> Result<Exit, CommandError> {
    let Report { outcome, usage, log } = session.api.read(body)?;
    let answered = matches!(outcome, Outcome::Answered(_));
    session.show(body, || run_view::call(&outcome.map(|value| value.to_string()), &usage, &log))?;
    Ok(if answered { Exit::Done } else { Exit::Failed })
}
