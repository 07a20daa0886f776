//! The API's operations: one file for each kind of thing, and the list of all.
//!
//! What an operation takes of its caller is the type of its handler's first
//! argument; the document and `docs/permissions.md` are told from there, and
//! `tests/permissions.rs` walks the document and sees that it is so.

mod apply;
mod audit;
mod calls;
mod connections;
mod consent;
mod dead_letters;
mod events;
mod keys;
mod logout;
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
mod usage;
mod whoami;
mod workflows;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::{Extension, Router};
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use self::openapi::{Document, DocumentText};
pub(crate) use self::tokens::MadeToken;
use crate::Control;
use crate::access::{Caller, Guard, Line, START, guard, page};
use crate::attempt::audited;
use crate::refusal::Refusal;

/// Where the API is mounted.
pub(crate) const ROOT: &str = "/api/v1";

/// Handlers of one path, and what each takes of its caller. A handler whose
/// first argument proves no power does not compile here.
macro_rules! operations {
    ($($module:ident :: $handler:ident),+ $(,)?) => {
        (routes!($($module::$handler),+), vec![$((stringify!($handler), guard(&$module::$handler))),+])
    };
}

/// Every operation.
struct Operations {
    router: OpenApiRouter<Control>,
    /// By the operation's id, which is its handler's name.
    guards: BTreeMap<&'static str, Guard>,
}

impl Operations {
    fn and(mut self, (routes, guards): (UtoipaMethodRouter<Control>, Vec<(&'static str, Guard)>)) -> Self {
        self.router = self.router.routes(routes);
        self.guards.extend(guards);
        self
    }

    fn all() -> Self {
        Self { router: OpenApiRouter::with_openapi(Document::openapi()), guards: BTreeMap::new() }
            .and(operations!(whoami::whoami))
            .and(operations!(logout::logout))
            .and(operations!(openapi::openapi))
            .and(operations!(tokens::list_tokens, tokens::create_token))
            .and(operations!(tokens::delete_token))
            .and(operations!(tokens::rotate_token))
            .and(operations!(packages::list_packages, packages::publish_package))
            .and(operations!(packages::get_package))
            .and(operations!(tenants::list_tenants))
            .and(operations!(tenants::get_tenant, tenants::put_tenant, tenants::delete_tenant))
            .and(operations!(usage::get_usage))
            .and(operations!(connections::list_connections))
            .and(operations!(
                connections::get_connection,
                connections::put_connection,
                connections::delete_connection
            ))
            .and(operations!(connections::authorize_connection))
            .and(operations!(consent::consent_to_connection, consent::withdraw_from_connection))
            .and(operations!(consent::consent_to_workflow, consent::withdraw_from_workflow))
            .and(operations!(calls::check_connection))
            .and(operations!(calls::call_endpoint))
            .and(operations!(workflows::list_workflows))
            .and(operations!(workflows::get_workflow, workflows::put_workflow, workflows::delete_workflow))
            .and(operations!(step_tests::test_workflow))
            .and(operations!(schedules::list_schedules))
            .and(operations!(schedules::get_schedule, schedules::put_schedule, schedules::delete_schedule))
            .and(operations!(schemas::list_schemas))
            .and(operations!(schemas::get_schema, schemas::put_schema, schemas::delete_schema))
            .and(operations!(runs::list_runs))
            .and(operations!(runs::show_run))
            .and(operations!(events::send_event))
            .and(operations!(repair::pause_run))
            .and(operations!(repair::resume_run))
            .and(operations!(repair::cancel_run))
            .and(operations!(repair::terminate_run))
            .and(operations!(replays::replay_run))
            .and(operations!(replays::replay_runs))
            .and(operations!(dead_letters::list_dead_letters))
            .and(operations!(dead_letters::dismiss_dead_letters))
            .and(operations!(dead_letters::dismiss_run))
            .and(operations!(topics::publish_to_topic))
            .and(operations!(secrets::list_secrets))
            .and(operations!(secrets::put_secret, secrets::delete_secret))
            .and(operations!(keys::show_keys))
            .and(operations!(keys::rotate_master_key))
            .and(operations!(keys::rotate_data_keys))
            .and(operations!(apply::apply))
            .and(operations!(audit::list_audit))
            .and(operations!(audit::export_audit))
            .and(operations!(audit::audit_heads))
            .and(operations!(audit::verify_audit))
    }
}

/// Every operation, under `/api/v1`.
pub fn router(control: Control) -> Router {
    let Operations { router, guards } = Operations::all();
    let (operations, mut document) = router.split_for_parts();
    let mut known = crate::attempt::Operations::default();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in openapi::methods(item) {
            let id = operation.operation_id.as_deref().and_then(|id| guards.get_key_value(id));
            if let (Some((id, _)), Ok(method)) = (id, method.to_uppercase().parse()) {
                known.add(method, format!("{ROOT}{path}"), ROOT, id);
            }
        }
    }
    let audited = from_fn_with_state((control.clone(), Arc::new(known)), audited);
    let text = DocumentText(openapi::finish(document, &guards).unwrap_or_default().into());
    let operations = operations
        .fallback(absent)
        .method_not_allowed_fallback(absent)
        .layer(Extension(Arc::new(text)))
        .layer(audited)
        .with_state(control);
    Router::new().nest(ROOT, operations)
}

/// Every operation against every role: what `docs/permissions.md` must say.
pub fn permissions_page() -> String {
    let Operations { router, guards } = Operations::all();
    let (_, mut document) = router.split_for_parts();
    let mut lines = Vec::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in openapi::methods(item) {
            let guard = operation.operation_id.as_deref().and_then(|id| guards.get(id));
            lines.extend(guard.map(|guard| Line { method, path: format!("{ROOT}{path}"), guard: *guard }));
        }
    }
    // No operation of the API, and the same table.
    lines.push(Line { method: "post", path: "/run/{tenant}/{workflow}".to_owned(), guard: START });
    page(&lines)
}

/// What is not an operation is absent, for those who may ask at all.
async fn absent(_: Caller) -> Refusal {
    Refusal::Absent
}
