//! Repair: what is done to one run that has not ended.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_model::id::RunId;
use host_model::run::Run;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{MAX_JSON, Named, read, whole};
use crate::ports::{By, Order};
use crate::refusal::Refusal;

/// Why it is done. The body may be left out.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// In your own words; kept with the run.
    #[serde(default)]
    why: String,
}

/// Stops a run in good order, until it is resumed.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/pause", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = Reason, responses((status = 200, body = Object)))]
pub(super) async fn pause_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    order(&control, tenant, id, Order::Pause, body).await
}

/// Lets a paused run go on.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/resume", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = Reason, responses((status = 200, body = Object)))]
pub(super) async fn resume_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    order(&control, tenant, id, Order::Resume, body).await
}

/// Cancels a run: it stops, and the calls that its workflow named undo it, last first.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/cancel", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = Reason, responses((status = 200, body = Object)))]
pub(super) async fn cancel_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    order(&control, tenant, id, Order::Cancel, body).await
}

/// Ends a run now. Nothing is undone.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/terminate", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = Reason, responses((status = 200, body = Object)))]
pub(super) async fn terminate_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    order(&control, tenant, id, Order::Terminate, body).await
}

async fn order(
    control: &Control,
    tenant: InTenant<power::Operate>,
    run: RunId,
    order: Order,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    let by = by(&tenant, reason(body).await?);
    Ok(Json(control.repair.order(&tenant.id, run, order, by).await?))
}

/// Why, from a body that may be left out.
pub(super) async fn reason(body: Body) -> Result<String, Refusal> {
    let body = whole(body, MAX_JSON).await?;
    let Reason { why } = match body.as_ref() {
        [] => Reason::default(),
        body => read(body)?,
    };
    Ok(why)
}

/// The caller, by the token's name.
pub(super) fn by(tenant: &InTenant<power::Operate>, why: String) -> By {
    let token = &tenant.caller.token;
    let who = match token.note.as_str() {
        "" => token.id.to_string(),
        note => format!("{note} ({})", token.id),
    };
    By { who, why }
}
