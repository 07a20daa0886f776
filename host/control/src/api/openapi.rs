//! The document: OpenAPI 3.1 of every operation, made from the operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, PathItem, RefOr, ResponseBuilder};

use super::ROOT;
use crate::access::{Guard, May, ROLES, power};
use host_model::problem::PROBLEM_JSON;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wharf",
        description = "Sandboxed connectors, workflows and schedules of many tenants. \
            Every error is `application/problem+json` (RFC 9457) with a stable `code`. \
            An operation's security names the power that it takes, and its `x-roles` \
            who has that: `yes`, `own` (over what is its own) or `no`. \
            Lists give the next page in a `Link` header."
    ),
    servers((url = "/api/v1"))
)]
pub(super) struct Document;

/// The document as it is served.
pub(super) struct DocumentText(pub(super) Arc<str>);

/// What a connection looks like. Its type is the model's, which knows no
/// OpenAPI; `tests/openapi.rs` holds the two together.
const CONNECTION: &str = include_str!("connection.schema.json");

/// The finished document's text: adds what is the same for all operations, and
/// the schemas that are written by hand.
pub(super) fn finish(
    mut document: utoipa::openapi::OpenApi,
    guards: &BTreeMap<&'static str, Guard>,
) -> serde_json::Result<String> {
    let bearer =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token: `wharf_...`")).build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    let problem = ContentBuilder::new().build();
    let refused =
        ResponseBuilder::new().description("Refused, with a problem").content(PROBLEM_JSON, problem).build();
    for path in document.paths.paths.values_mut() {
        for (_, operation) in methods(path) {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(refused.clone()));
        }
    }
    debug_assert_eq!(ROOT, "/api/v1", "the document's server says where it is mounted");
    let mut document = serde_json::to_value(document)?;
    let schemas: Map<String, Value> = serde_json::from_str(CONNECTION)?;
    if let Some(known) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        known.extend(schemas);
    }
    for path in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        path.as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(|operation| guarded(operation, guards));
    }
    serde_json::to_string(&document)
}

/// Says what an operation takes of its caller.
fn guarded(operation: &mut Value, guards: &BTreeMap<&'static str, Guard>) {
    let guard = operation.get("operationId").and_then(Value::as_str).and_then(|id| guards.get(id));
    if let (Some(Guard { row }), Value::Object(operation)) = (guard.copied(), operation) {
        let roles: Map<String, Value> = ROLES
            .into_iter()
            .zip(row.cells)
            .map(|(role, cell)| (role.to_owned(), cell.word().into()))
            .collect();
        operation.insert("security".to_owned(), json!([{ "token": [row.name] }]));
        operation.insert("x-roles".to_owned(), roles.into());
    }
}

/// The operations of a path, each with its method.
pub(super) fn methods(path: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = path;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn openapi(
    _: May<power::Ask>,
    Extension(text): Extension<Arc<DocumentText>>,
) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text.0.to_string())
}
