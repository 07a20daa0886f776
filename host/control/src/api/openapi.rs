//! The document: OpenAPI 3.1 of every operation, made from the operations.

use std::sync::Arc;

use axum::Extension;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder};

use super::ROOT;
use crate::caller::Caller;
use host_model::problem::PROBLEM_JSON;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wharf",
        description = "Sandboxed connectors, workflows and schedules of many tenants. \
            Every error is `application/problem+json` (RFC 9457) with a stable `code`. \
            An operation's security names whose token it takes: `operator`, `tenant` \
            (that tenant's, or the operator's) or `any`. Lists give the next page in a `Link` header."
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
pub(super) fn finish(mut document: utoipa::openapi::OpenApi) -> serde_json::Result<String> {
    let bearer =
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token: `wharf_...`")).build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    let problem = ContentBuilder::new().build();
    let refused =
        ResponseBuilder::new().description("Refused, with a problem").content(PROBLEM_JSON, problem).build();
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(refused.clone()));
        }
    }
    debug_assert_eq!(ROOT, "/api/v1", "the document's server says where it is mounted");
    let mut document = serde_json::to_value(document)?;
    let schemas: Map<String, Value> = serde_json::from_str(CONNECTION)?;
    if let Some(known) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        known.extend(schemas);
    }
    serde_json::to_string(&document)
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "about", security(("token" = ["any"])),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn openapi(_: Caller, Extension(text): Extension<Arc<DocumentText>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], text.0.to_string())
}
