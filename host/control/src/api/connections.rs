//! Connections: connectors set up for a tenant.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use host_model::name::ConnectionName;
use host_model::resource::ConnectionSpec;
use serde_json::Value;

use super::calls::usable;
use super::resources::{self, Deleted};
use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::Done;
use crate::input::{Named, Page, Params};
use crate::ports::Beginning;
use crate::refusal::Refusal;

/// A tenant's connections, in order of their names.
#[utoipa::path(get, path = "/tenants/{tenant}/connections", tag = "connections",
    params(("tenant" = String, Path), Page),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_connections(
    tenant: InTenant<power::See>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    resources::list::<ConnectionSpec>(&tenant, &page)
}

/// A connection as it was written; with `error` if it cannot be used, with
/// `needs-authorization` if somebody must authorize it first, and with
/// `warnings` if its hooks are open or closed to everybody.
#[utoipa::path(get, path = "/tenants/{tenant}/connections/{name}", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = ref("#/components/schemas/Connection"))))]
pub(super) async fn get_connection(
    tenant: InTenant<power::See>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
) -> Result<Json<Value>, Refusal> {
    let Json(mut shown) = resources::get::<ConnectionSpec>(&tenant, &name)?;
    let usable = tenant.tenant.resolved.connections.get(&name);
    if let (Some(connection), Some(shown)) = (usable, shown.as_object_mut())
        && let Some(why) = control.authorizations.needed(connection).await?
    {
        shown.insert("needs-authorization".to_owned(), why.into());
    }
    Ok(Json(shown))
}

/// Begins an authorization of a connection: gives the page where somebody with
/// an account in the outside system consents, and until when.
#[utoipa::path(post, path = "/tenants/{tenant}/connections/{name}/authorize", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Beginning)))]
pub(super) async fn authorize_connection(
    tenant: InTenant<power::KeepSecrets>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
) -> Result<Json<Beginning>, Refusal> {
    let connection = usable(&tenant, &name)?;
    let by = tenant.caller.id().to_string();
    let beginning = control.authorizations.begin(&connection, &by).await?;
    tracing::info!(token.id = by, tenant.id = %tenant.id, connection.name = %name, "began an authorization of connection `{name}`");
    Ok(Json(beginning))
}

/// Writes a connection, over an earlier one of the name.
#[utoipa::path(put, path = "/tenants/{tenant}/connections/{name}", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)),
    request_body(content = ref("#/components/schemas/Connection"), content_type = "application/json"),
    responses((status = 200, body = Done), (status = 201, body = Done)))]
pub(super) async fn put_connection(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
    body: Body,
) -> Result<Response, Refusal> {
    resources::put::<ConnectionSpec>(&control, tenant, name, body).await
}

/// Deletes a connection, unless a workflow uses it.
#[utoipa::path(delete, path = "/tenants/{tenant}/connections/{name}", tag = "connections",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_connection(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<ConnectionName>,
) -> Result<Json<Deleted>, Refusal> {
    resources::delete::<ConnectionSpec>(&control, tenant, name).await
}
