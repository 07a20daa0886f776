//! Schedules: when to run a tenant's workflows.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use host_model::name::ScheduleName;
use host_model::resource::ScheduleSpec;
use serde_json::Value;

use super::resources::{self, Deleted};
use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::Done;
use crate::input::{Named, Page, Params};
use crate::refusal::Refusal;

/// A tenant's schedules, in order of their names.
#[utoipa::path(get, path = "/tenants/{tenant}/schedules", tag = "schedules",
    params(("tenant" = String, Path), Page),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_schedules(
    tenant: InTenant<power::See>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    resources::list::<ScheduleSpec>(&tenant, &page)
}

/// A schedule as it was written; with `error` if it cannot be used.
#[utoipa::path(get, path = "/tenants/{tenant}/schedules/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object)))]
pub(super) async fn get_schedule(
    tenant: InTenant<power::See>,
    Named(name): Named<ScheduleName>,
) -> Result<Json<Value>, Refusal> {
    resources::get::<ScheduleSpec>(&tenant, &name)
}

/// Writes a schedule, over an earlier one of the name.
#[utoipa::path(put, path = "/tenants/{tenant}/schedules/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Object,
    responses((status = 200, body = Done), (status = 201, body = Done)))]
pub(super) async fn put_schedule(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<ScheduleName>,
    body: Body,
) -> Result<Response, Refusal> {
    resources::put::<ScheduleSpec>(&control, tenant, name, body).await
}

/// Deletes a schedule.
#[utoipa::path(delete, path = "/tenants/{tenant}/schedules/{name}", tag = "schedules",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_schedule(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<ScheduleName>,
) -> Result<Json<Deleted>, Refusal> {
    resources::delete::<ScheduleSpec>(&control, tenant, name).await
}
