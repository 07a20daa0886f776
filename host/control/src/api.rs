//! The API's operations: one file for each kind of thing, and the list of all.
//!
//! Every operation says in the document whose token it takes: `any`,
//! `operator`, or `tenant` (that tenant's or the operator's). The tests walk
//! the document and see that it is so.

mod apply;
mod calls;
mod connections;
mod dead_letters;
mod events;
mod keys;
mod openapi;
mod packages;
mod repair;
mod replays;
mod resources;
mod runs;
mod schedules;
mod schemas;
mod secrets;
mod step_tests;
mod tenants;
mod tokens;
mod topics;
mod whoami;
mod workflows;

use std::sync::Arc;

use axum::{Extension, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::openapi::{Document, DocumentText};
use crate::Control;
use crate::caller::Caller;
use crate::refusal::Refusal;

/// Where the API is mounted.
pub(crate) const ROOT: &str = "/api/v1";

/// Every operation, under `/api/v1`.
pub fn router(control: Control) -> Router {
    let (operations, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(whoami::whoami))
        .routes(routes!(openapi::openapi))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::delete_token))
        .routes(routes!(packages::list_packages, packages::publish_package))
        .routes(routes!(packages::get_package))
        .routes(routes!(tenants::list_tenants))
        .routes(routes!(tenants::get_tenant, tenants::put_tenant, tenants::delete_tenant))
        .routes(routes!(connections::list_connections))
        .routes(routes!(
            connections::get_connection,
            connections::put_connection,
            connections::delete_connection
        ))
        .routes(routes!(calls::check_connection))
        .routes(routes!(calls::call_endpoint))
        .routes(routes!(workflows::list_workflows))
        .routes(routes!(workflows::get_workflow, workflows::put_workflow, workflows::delete_workflow))
        .routes(routes!(step_tests::test_workflow))
        .routes(routes!(schedules::list_schedules))
        .routes(routes!(schedules::get_schedule, schedules::put_schedule, schedules::delete_schedule))
        .routes(routes!(schemas::list_schemas))
        .routes(routes!(schemas::get_schema, schemas::put_schema, schemas::delete_schema))
        .routes(routes!(runs::list_runs))
        .routes(routes!(runs::show_run))
        .routes(routes!(events::send_event))
        .routes(routes!(repair::pause_run))
        .routes(routes!(repair::resume_run))
        .routes(routes!(repair::cancel_run))
        .routes(routes!(repair::terminate_run))
        .routes(routes!(replays::replay_run))
        .routes(routes!(replays::replay_runs))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::dismiss_dead_letters))
        .routes(routes!(dead_letters::dismiss_run))
        .routes(routes!(topics::publish_to_topic))
        .routes(routes!(secrets::list_secrets))
        .routes(routes!(secrets::put_secret, secrets::delete_secret))
        .routes(routes!(keys::show_keys))
        .routes(routes!(keys::rotate_master_key))
        .routes(routes!(keys::rotate_data_keys))
        .routes(routes!(apply::apply))
        .split_for_parts();
    let text = DocumentText(openapi::finish(document).unwrap_or_default().into());
    let operations = operations
        .fallback(absent)
        .method_not_allowed_fallback(absent)
        .layer(Extension(Arc::new(text)))
        .with_state(control);
    Router::new().nest(ROOT, operations)
}

/// What is not an operation is absent, for those who may ask at all.
async fn absent(_: Caller) -> Refusal {
    Refusal::Absent
}
