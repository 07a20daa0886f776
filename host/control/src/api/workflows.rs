//! Workflows: what composes a tenant's connections.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use host_model::name::WorkflowName;
use host_model::resource::WorkflowSpec;
use serde_json::Value;

use super::resources::{self, Deleted};
use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::Done;
use crate::input::{Named, Page, Params};
use crate::refusal::Refusal;

/// A tenant's workflows, in order of their names.
#[utoipa::path(get, path = "/tenants/{tenant}/workflows", tag = "workflows",
    params(("tenant" = String, Path), Page),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_workflows(
    tenant: InTenant<power::See>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    resources::list::<WorkflowSpec>(&tenant, &page)
}

/// A workflow as it was written; with `error` if it cannot be used.
#[utoipa::path(get, path = "/tenants/{tenant}/workflows/{name}", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object)))]
pub(super) async fn get_workflow(
    tenant: InTenant<power::See>,
    Named(name): Named<WorkflowName>,
) -> Result<Json<Value>, Refusal> {
    resources::get::<WorkflowSpec>(&tenant, &name)
}

/// Writes a workflow, over an earlier one of the name.
#[utoipa::path(put, path = "/tenants/{tenant}/workflows/{name}", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Object,
    responses((status = 200, body = Done), (status = 201, body = Done)))]
pub(super) async fn put_workflow(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<WorkflowName>,
    body: Body,
) -> Result<Response, Refusal> {
    resources::put::<WorkflowSpec>(&control, tenant, name, body).await
}

/// Deletes a workflow, unless a schedule starts it.
#[utoipa::path(delete, path = "/tenants/{tenant}/workflows/{name}", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_workflow(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<WorkflowName>,
) -> Result<Json<Deleted>, Refusal> {
    resources::delete::<WorkflowSpec>(&control, tenant, name).await
}
