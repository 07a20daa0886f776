//! Consent: to what a connection or a workflow would be allowed beyond what it is.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_model::digest::Digest;
use host_model::name::{ConnectionName, WorkflowName};
use host_model::resource::{ConnectionSpec, WorkflowSpec};
use serde::Deserialize;
use utoipa::ToSchema;

use super::resources::change;
use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::{Done, Edit, Tenanted};
use crate::input::{Named, json};
use crate::refusal::Refusal;

/// What is consented to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    /// The digest of the difference that was shown, as `pending.digest` gives it.
    #[schema(value_type = String)]
    digest: Digest,
}

/// Makes the change of a connection that waits, if it is the one that was shown.
#[utoipa::path(post, path = "/tenants/{tenant}/connections/{name}/consent", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Shown,
    responses((status = 200, body = Done)))]
pub(super) async fn consent_to_connection(
    tenant: InTenant<power::Consent>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
    body: Body,
) -> Result<Json<Done>, Refusal> {
    consent::<ConnectionSpec>(&control, tenant, name, body).await
}

/// Takes back all that was consented to for a connection, and drops what
/// waits. What is written under its `grants:` stays.
#[utoipa::path(delete, path = "/tenants/{tenant}/connections/{name}/consent", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Done)))]
pub(super) async fn withdraw_from_connection(
    tenant: InTenant<power::Consent>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
) -> Result<Json<Done>, Refusal> {
    withdraw::<ConnectionSpec>(&control, tenant, name).await
}

/// Makes the change of a workflow that waits, if it is the one that was shown.
#[utoipa::path(post, path = "/tenants/{tenant}/workflows/{name}/consent", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Shown,
    responses((status = 200, body = Done)))]
pub(super) async fn consent_to_workflow(
    tenant: InTenant<power::Consent>,
    State(control): State<Control>,
    Named(name): Named<WorkflowName>,
    body: Body,
) -> Result<Json<Done>, Refusal> {
    consent::<WorkflowSpec>(&control, tenant, name, body).await
}

/// Takes back all that was consented to for a workflow, and drops what waits.
/// What its package called already, it goes on to call.
#[utoipa::path(delete, path = "/tenants/{tenant}/workflows/{name}/consent", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Done)))]
pub(super) async fn withdraw_from_workflow(
    tenant: InTenant<power::Consent>,
    State(control): State<Control>,
    Named(name): Named<WorkflowName>,
) -> Result<Json<Done>, Refusal> {
    withdraw::<WorkflowSpec>(&control, tenant, name).await
}

async fn consent<T: Tenanted>(
    control: &Control,
    tenant: InTenant<power::Consent>,
    name: T::Name,
    body: Body,
) -> Result<Json<Done>, Refusal> {
    there::<T>(&tenant, &name)?;
    let Shown { digest } = json(body).await?;
    let edit = Edit::Consent(tenant.id.clone(), (T::KIND, name.to_string()), digest);
    one(change(control, &tenant.caller, Some(&tenant.id), edit).await?)
}

async fn withdraw<T: Tenanted>(
    control: &Control,
    tenant: InTenant<power::Consent>,
    name: T::Name,
) -> Result<Json<Done>, Refusal> {
    there::<T>(&tenant, &name)?;
    let edit = Edit::Withdraw(tenant.id.clone(), (T::KIND, name.to_string()));
    one(change(control, &tenant.caller, Some(&tenant.id), edit).await?)
}

fn there<T: Tenanted>(tenant: &InTenant<power::Consent>, name: &T::Name) -> Result<(), Refusal> {
    T::of(&tenant.tenant.written).contains_key(name).then_some(()).ok_or(Refusal::Absent)
}

fn one(done: Vec<Done>) -> Result<Json<Done>, Refusal> {
    done.into_iter().next().map(Json).ok_or(Refusal::Absent)
}
