//! Calls by hand: of a connection's check and of its outbound endpoints.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use host_model::manifest::{Direction, World};
use host_model::name::{ConnectionName, EndpointName};
use host_model::outcome::{Finished, LogLine, Outcome, Usage};
use host_model::resource::Connection;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::nearest_outbound;
use crate::input::{MAX_JSON, Named, Params, whole};
use crate::refusal::Refusal;

/// How much to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Telling {
    /// Answer 200 however the call ended, with its outcome, its usage and its log.
    #[serde(default)]
    report: bool,
}

/// What a check found.
#[derive(Serialize, ToSchema)]
pub(super) struct Checked {
    /// What the connector said, for people.
    answer: String,
}

#[derive(Serialize)]
struct Report {
    outcome: Outcome<Box<RawValue>>,
    usage: Usage,
    log: Vec<LogLine>,
}

/// Tests a connection: reaches the outside system and changes nothing.
#[utoipa::path(post, path = "/tenants/{tenant}/connections/{name}/check", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path), Telling),
    responses((status = 200, body = Checked)))]
pub(super) async fn check_connection(
    tenant: InTenant<power::Call>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
    Params(telling): Params<Telling>,
) -> Result<Response, Refusal> {
    let connection = usable(&tenant, &name)?;
    if connection.package.manifest.world != World::Connector {
        return Err(Refusal::invalid(format!("connection `{name}` is of an http-proxy, which has no check")));
    }
    let finished = control.calls.check(connection).await?;
    match finished.outcome {
        _ if telling.report => {
            // What a check says is text; in a report it is a JSON string.
            let outcome = finished.outcome.map(|text| serde_json::Value::String(text).to_string());
            report(Finished { outcome, ..finished })
        }
        Outcome::Answered(answer) => Ok(Json(Checked { answer }).into_response()),
        other => Err(other.into()),
    }
}

/// Calls an outbound endpoint. The body is its input, the answer its output: one JSON text each.
#[utoipa::path(post, path = "/tenants/{tenant}/connections/{name}/call/{endpoint}", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path), ("endpoint" = String, Path), Telling),
    request_body = Object,
    responses((status = 200, description = "What the endpoint answered", body = Object)))]
pub(super) async fn call_endpoint(
    tenant: InTenant<power::Call>,
    State(control): State<Control>,
    Path(path): Path<(String, String, String)>,
    Params(telling): Params<Telling>,
    body: Body,
) -> Result<Response, Refusal> {
    let (_, name, endpoint) = path;
    let name: ConnectionName = name.parse().map_err(|_| Refusal::Absent)?;
    let connection = usable(&tenant, &name)?;
    let endpoint = offered(&connection, &endpoint)?;
    let input = whole(body, MAX_JSON).await?;
    let input: Box<RawValue> = serde_json::from_slice(&input)
        .map_err(|error| Refusal::bad_request(format!("the body is not one JSON text: {error}")))?;
    let finished = control.calls.call(connection, endpoint, input.get().to_owned()).await?;
    match finished.outcome {
        _ if telling.report => report(finished),
        Outcome::Answered(answer) => Ok(([(CONTENT_TYPE, "application/json")], answer).into_response()),
        other => Err(other.into()),
    }
}

pub(super) fn usable<P>(tenant: &InTenant<P>, name: &ConnectionName) -> Result<Arc<Connection>, Refusal> {
    if let Some(connection) = tenant.tenant.resolved.connections.get(name) {
        return Ok(Arc::clone(connection));
    }
    match tenant.tenant.resolved.errors.get(&("connection", name.to_string())) {
        Some(error) => Err(Refusal::invalid(format!("connection `{name}` cannot be used: {error}"))),
        None => Err(Refusal::Absent),
    }
}

fn offered(connection: &Connection, endpoint: &str) -> Result<EndpointName, Refusal> {
    let manifest = &connection.package.manifest;
    match manifest.endpoint(endpoint, Direction::Outbound) {
        Some((name, _)) => Ok(name.clone()),
        None => {
            let near = nearest_outbound(manifest, endpoint);
            let endpoint: String = endpoint.chars().take(80).collect();
            let name = &connection.name;
            let detail = format!("connection `{name}` offers no outbound endpoint `{endpoint}`{near}");
            Err(Refusal::Wrong(StatusCode::UNPROCESSABLE_ENTITY, "unknown-endpoint", detail))
        }
    }
}

fn report(finished: Finished<String>) -> Result<Response, Refusal> {
    let Finished { outcome, usage, log } = finished;
    let outcome = match outcome {
        Outcome::Answered(text) => match RawValue::from_string(text) {
            Ok(value) => Outcome::Answered(value),
            Err(error) => Outcome::BadAnswer(error.to_string()),
        },
        Outcome::Declined(error) => Outcome::Declined(error),
        Outcome::Exceeded(exceeded) => Outcome::Exceeded(exceeded),
        Outcome::Trapped(trap) => Outcome::Trapped(trap),
        Outcome::BadAnswer(why) => Outcome::BadAnswer(why),
    };
    Ok(Json(Report { outcome, usage, log }).into_response())
}
