//! Schemas: what the data of a tenant's messages must look like. The
//! shipped ones are the same for everybody and need no resource.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use host_model::name::SchemaRef;
use host_model::resource::SchemaSpec;
use serde_json::{Value, json};

use super::resources::{self, Deleted};
use crate::Control;
use crate::access::{InTenant, power};
use crate::catalog::{Done, Tenanted};
use crate::input::{Named, Page, Params};
use crate::refusal::Refusal;

/// A tenant's own schemas, in order of their names.
#[utoipa::path(get, path = "/tenants/{tenant}/schemas", tag = "schemas",
    params(("tenant" = String, Path), Page),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_schemas(
    tenant: InTenant<power::See>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    resources::list::<SchemaSpec>(&tenant, &page)
}

/// A schema as it was written, with `error` if it cannot be used; or a shipped one.
#[utoipa::path(get, path = "/tenants/{tenant}/schemas/{name}", tag = "schemas",
    params(("tenant" = String, Path), ("name" = String, Path, description = "With its version: `lead@1`")),
    responses((status = 200, body = Object)))]
pub(super) async fn get_schema(
    tenant: InTenant<power::See>,
    Named(name): Named<SchemaRef>,
) -> Result<Json<Value>, Refusal> {
    match host_schemas::shipped(&name) {
        Some(schema) => Ok(Json(json!({
            "kind": SchemaSpec::KIND,
            "name": name.name,
            "version": name.version,
            "shipped": true,
            "schema": schema.document(),
        }))),
        None => resources::get::<SchemaSpec>(&tenant, &name),
    }
}

/// Writes a schema, over an earlier one of the name.
#[utoipa::path(put, path = "/tenants/{tenant}/schemas/{name}", tag = "schemas",
    params(("tenant" = String, Path), ("name" = String, Path, description = "With its version: `lead@1`")), request_body = Object,
    responses((status = 200, body = Done), (status = 201, body = Done)))]
pub(super) async fn put_schema(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<SchemaRef>,
    body: Body,
) -> Result<Response, Refusal> {
    resources::put::<SchemaSpec>(&control, tenant, name, body).await
}

/// Deletes a schema.
#[utoipa::path(delete, path = "/tenants/{tenant}/schemas/{name}", tag = "schemas",
    params(("tenant" = String, Path), ("name" = String, Path, description = "With its version: `lead@1`")),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_schema(
    tenant: InTenant<power::Change>,
    State(control): State<Control>,
    Named(name): Named<SchemaRef>,
) -> Result<Json<Deleted>, Refusal> {
    resources::delete::<SchemaSpec>(&control, tenant, name).await
}
