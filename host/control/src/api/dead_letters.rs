//! The dead-letter list: runs that did not succeed and that nobody has
//! replayed or dismissed.

use std::num::NonZeroUsize;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use host_model::id::RunId;
use host_model::name::WorkflowName;
use host_model::run::Run;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::repair::{by, reason};
use super::resources::paged;
use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{Named, Params};
use crate::ports::{LetterPage, LetterQuery, RepairError};
use crate::refusal::Refusal;

/// The most letters of a page, and of one dismissal: a second of durable commits.
const MAX_PAGE: usize = 100;
const PAGE: usize = 50;

/// Which letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichLetters {
    /// Of this workflow only.
    #[param(value_type = Option<String>)]
    workflow: Option<WorkflowName>,
    /// Only those that failed like this: the case of an error (`permanent`), a
    /// bound (`deadline`), `trapped`, `bad-answer` or `diverged`.
    kind: Option<String>,
    /// Letters after this run's: the last of the page before.
    #[param(value_type = Option<String>)]
    after: Option<RunId>,
    /// At most so many; 50 if left out, 100 at most.
    limit: Option<usize>,
}

impl WhichLetters {
    fn query(self) -> LetterQuery {
        let Self { workflow, kind, after, limit } = self;
        let limit = NonZeroUsize::new(limit.unwrap_or(PAGE).min(MAX_PAGE)).unwrap_or(NonZeroUsize::MIN);
        LetterQuery { workflow, kind, after, limit }
    }
}

/// What became of one letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Dismissed {
    /// Whose.
    #[schema(value_type = String)]
    run: RunId,
    /// Why it was not dismissed: it was not on the list any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The runs that failed or diverged and that nobody has replayed or dismissed,
/// newest first: each with its error, its step, the tries and the limits.
#[utoipa::path(get, path = "/tenants/{tenant}/dead-letters", tag = "runs",
    params(("tenant" = String, Path), WhichLetters),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_dead_letters(
    tenant: InTenant<power::See>,
    State(control): State<Control>,
    Params(which): Params<WhichLetters>,
) -> Result<Response, Refusal> {
    let LetterPage { letters, next } = control.repair.dead_letters(&tenant.id, which.query()).await?;
    // A page may be short and still not the last: a filter passes over letters.
    let limit = if next.is_some() { letters.len() } else { usize::MAX };
    Ok(paged(letters, limit, next.map(|next| next.to_string())))
}

/// Takes a run off the dead-letter list.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/dismiss", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = super::repair::Reason, responses((status = 200, body = Object)))]
pub(super) async fn dismiss_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
    body: Body,
) -> Result<Json<Run>, Refusal> {
    let by = by(&tenant, reason(body).await?);
    Ok(Json(control.repair.dismiss(&tenant.id, id, by).await?))
}

/// Takes all that match off the dead-letter list: a page of what became of
/// each, with a link to the next.
#[utoipa::path(post, path = "/tenants/{tenant}/dead-letters/dismiss", tag = "runs",
    params(("tenant" = String, Path), WhichLetters), request_body = super::repair::Reason,
    responses((status = 200, body = [Dismissed])))]
pub(super) async fn dismiss_dead_letters(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Params(which): Params<WhichLetters>,
    body: Body,
) -> Result<Response, Refusal> {
    let why = reason(body).await?;
    let LetterPage { letters, next } = control.repair.dead_letters(&tenant.id, which.query()).await?;
    let mut became = Vec::with_capacity(letters.len());
    for letter in letters {
        let run = letter.run.id;
        match control.repair.dismiss(&tenant.id, run, by(&tenant, why.clone())).await {
            Ok(_) => became.push(Dismissed { run, error: None }),
            Err(RepairError::Clash(_, why) | RepairError::Wrong(_, why)) => {
                became.push(Dismissed { run, error: Some(why) });
            }
            Err(RepairError::Absent) => {
                became.push(Dismissed { run, error: Some("it is gone".to_owned()) });
            }
            Err(error) => return Err(error.into()),
        }
    }
    let limit = if next.is_some() { became.len() } else { usize::MAX };
    Ok(paged(became, limit, next.map(|next| next.to_string())))
}
