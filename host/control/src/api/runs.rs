//! Runs: what ran, and how.

use std::num::NonZeroUsize;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use host_model::id::RunId;
use host_model::name::WorkflowName;
use host_model::run::{Run, RunStatus, Step};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::resources::paged;
use crate::Control;
use crate::caller::InTenant;
use crate::input::{Named, Params};
use crate::ports::{RunPage, RunQuery, RunStory};
use crate::refusal::Refusal;

/// The most runs of a page; each carries its input and its outcome.
pub(super) const MAX_PAGE: usize = 100;
const PAGE: usize = 50;

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this workflow only.
    #[param(value_type = Option<String>)]
    workflow: Option<WorkflowName>,
    /// `accepted`, `succeeded`, `failed` or `diverged` only.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
    /// Runs older than this one: the last of the page before.
    #[param(value_type = Option<String>)]
    after: Option<RunId>,
    /// At most so many; 50 if left out, 100 at most.
    limit: Option<usize>,
}

impl Which {
    /// What was asked for, at most `most` runs at a time.
    pub(super) fn query(self, most: usize) -> RunQuery {
        let Self { workflow, status, after, limit } = self;
        let limit = NonZeroUsize::new(limit.unwrap_or(PAGE).min(most)).unwrap_or(NonZeroUsize::MIN);
        RunQuery { workflow, status, after, limit }
    }
}

/// A run with its steps, in order of their numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    #[schema(value_type = Object)]
    run: Run,
    #[schema(value_type = Vec<Object>)]
    steps: Vec<Step>,
}

/// A tenant's runs, newest first.
#[utoipa::path(get, path = "/tenants/{tenant}/runs", tag = "runs", params(("tenant" = String, Path), Which),
    security(("token" = ["tenant"])), responses((status = 200, body = [Object])))]
pub(super) async fn list_runs(
    State(control): State<Control>,
    tenant: InTenant,
    Params(which): Params<Which>,
) -> Result<Response, Refusal> {
    let RunPage { runs, next } = control.runs.list(&tenant.id, which.query(MAX_PAGE)).await?;
    // A page may be short and still not the last: a filter passes over runs.
    let limit = if next.is_some() { runs.len() } else { usize::MAX };
    Ok(paged(runs, limit, next.map(|next| next.to_string())))
}

/// One run and what it did.
#[utoipa::path(get, path = "/tenants/{tenant}/runs/{name}", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    security(("token" = ["tenant"])), responses((status = 200, body = Shown)))]
pub(super) async fn show_run(
    State(control): State<Control>,
    tenant: InTenant,
    Named(id): Named<RunId>,
) -> Result<Json<Shown>, Refusal> {
    let RunStory { run, steps } = control.runs.show(&tenant.id, id).await?.ok_or(Refusal::Absent)?;
    Ok(Json(Shown { run, steps }))
}
