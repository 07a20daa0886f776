//! Replays: new runs made of runs that have ended, one or all that match.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use host_model::id::RunId;
use host_model::name::WorkflowName;
use host_model::resource::Workflow;
use host_model::run::Run;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::repair::by;
use super::resources::linked;
use super::runs::{Asked, MAX_PAGE, Which};
use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{Named, json};
use crate::ports::{From, RepairError, Replay, Replayed, RunPage};
use crate::refusal::Refusal;

/// The most runs that one request replays: a second or two of durable commits.
const MAX_REPLAYS: usize = 1_000;
/// How many pages of the list one request looks through for them.
const MAX_PAGES: usize = 100;

/// How to replay one run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct One {
    /// `start`, `failed`, or a step's number. The steps before are taken over;
    /// those from there on are done anew, under the idempotency keys that they had
    /// (from the start: under new ones).
    #[schema(value_type = Object)]
    from: Where,
    /// On the workflow as it is now, instead of what the run is pinned to.
    #[serde(default)]
    current: bool,
    /// Other data for the run's message.
    #[schema(value_type = Object)]
    input: Option<Box<RawValue>>,
    /// No outside effect: every recorded answer is used, and what has none ends the run.
    #[serde(default)]
    dry_run: bool,
    /// In your own words; kept with both runs.
    #[serde(default)]
    why: String,
    /// The same request replays the run once, however often it is sent.
    request: Option<String>,
}

/// How to replay many.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Many {
    /// As for one run.
    #[schema(value_type = Object)]
    from: Where,
    /// As for one run.
    #[serde(default)]
    current: bool,
    /// As for one run.
    #[serde(default)]
    dry_run: bool,
    /// As for one run.
    #[serde(default)]
    why: String,
    /// The same request replays each run once: send it again, page by page,
    /// until it is through.
    request: String,
    /// Also those that have been replayed before, by another request.
    #[serde(default)]
    again: bool,
}

/// `start`, `failed` or a number.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "`from` is `start`, `failed` or the number of a step")]
enum Where {
    Word(Word),
    Step(u32),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Start,
    Failed,
}

impl Where {
    fn port(self) -> From {
        match self {
            Self::Word(Word::Start) => From::Start,
            Self::Word(Word::Failed) => From::Failed,
            Self::Step(step) => From::Step(step),
        }
    }
}

/// What became of one run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Became {
    /// Which run.
    #[schema(value_type = String)]
    run: RunId,
    /// The new run, if there is one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed_as: Option<RunId>,
    /// The new run was made by an earlier sending of this request, or by another request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    before: bool,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Why>,
}

/// A refusal of one run among many.
#[derive(Serialize, ToSchema)]
pub(super) struct Why {
    code: &'static str,
    detail: String,
}

/// Makes a new run of one that has ended.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/replay", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    request_body = One, responses((status = 202, body = Became)))]
pub(super) async fn replay_run(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(run): Named<RunId>,
    body: Body,
) -> Result<Response, Refusal> {
    let One { from, current, input, dry_run, why, request } = json(body).await?;
    let current = match current {
        true => {
            let story = control.runs.show(&tenant.id, run).await?.ok_or(Refusal::Absent)?;
            Some(workflow_now(&tenant, &story.run.workflow).map_err(Refusal::from)?)
        }
        false => None,
    };
    let input = input.map(|input| input.get().to_owned());
    let (from, by) = (from.port(), by(&tenant, why));
    let replay = Replay { from, current, input, dry: dry_run, by, request, unless_replayed: false };
    let Replayed { run: made, repeated } = control.repair.replay(&tenant.id, run, replay).await?;
    let became = Became { run, replayed_as: Some(made), before: repeated, error: None };
    Ok((StatusCode::ACCEPTED, Json(became)).into_response())
}

/// Makes new runs of all that match and have ended, newest first: a page of
/// what became of each, with a link to the next.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/replay", tag = "runs",
    params(("tenant" = String, Path), Asked), request_body = Many,
    responses((status = 200, body = [Became])))]
pub(super) async fn replay_runs(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    which: Which,
    body: Body,
) -> Result<Response, Refusal> {
    let many: Many = json(body).await?;
    let mut query = which.query(MAX_REPLAYS);
    if query.filter.status.is_none_or(|status| !status.is_over()) {
        return Err(Refusal::invalid(
            "name the `status` of the runs to replay, one that is an end: failed, diverged, cancelled, terminated or succeeded",
        ));
    }
    let mut left = query.limit.get();
    let mut became = Vec::new();
    let mut next = None;
    for _ in 0..MAX_PAGES {
        query.limit = std::num::NonZeroUsize::new(left.min(MAX_PAGE)).unwrap_or(std::num::NonZeroUsize::MIN);
        let page: RunPage = control.runs.list(&tenant.id, query.clone()).await?;
        for run in &page.runs {
            became.push(one_of_many(&control, &tenant, run, &many).await?);
        }
        left = left.saturating_sub(page.runs.len());
        (query.after, next) = (page.next, page.next);
        if left == 0 || next.is_none() {
            break;
        }
    }
    Ok(linked(became, next.map(|next| which.next(next))))
}

async fn one_of_many(
    control: &Control,
    tenant: &InTenant<power::Operate>,
    old: &Run,
    many: &Many,
) -> Result<Became, Refusal> {
    let run = old.id;
    let refused =
        |code, detail| Became { run, replayed_as: None, before: false, error: Some(Why { code, detail }) };
    let current = match many.current.then(|| workflow_now(tenant, &old.workflow)).transpose() {
        Ok(current) => current,
        Err(RepairError::Wrong(code, detail) | RepairError::Clash(code, detail)) => {
            return Ok(refused(code, detail));
        }
        Err(error) => return Err(error.into()),
    };
    let replay = Replay {
        from: many.from.port(),
        current,
        input: None,
        dry: many.dry_run,
        by: by(tenant, many.why.clone()),
        request: Some(many.request.clone()),
        unless_replayed: !many.again,
    };
    match control.repair.replay(&tenant.id, run, replay).await {
        Ok(Replayed { run: made, repeated }) => {
            Ok(Became { run, replayed_as: Some(made), before: repeated, error: None })
        }
        Err(RepairError::Absent) => Ok(refused("not-found", "it is gone".to_owned())),
        Err(RepairError::Clash(code, detail)) => Ok(refused(code, detail)),
        // The request itself is at fault, or one of its runs.
        Err(RepairError::Wrong(code, detail)) if code != "bad-request-id" => Ok(refused(code, detail)),
        Err(error) => Err(error.into()),
    }
}

/// The workflow as it is now.
pub(super) fn workflow_now(
    tenant: &InTenant<power::Operate>,
    name: &WorkflowName,
) -> Result<Arc<Workflow>, RepairError> {
    let resolved = &tenant.tenant.resolved;
    if let Some(workflow) = resolved.workflows.iter().find(|workflow| workflow.name == *name) {
        return Ok(Arc::new(workflow.clone()));
    }
    let why = match resolved.errors.get(&("workflow", name.to_string())) {
        Some(error) => format!("workflow `{name}` cannot be used: {error}"),
        None => {
            format!("there is no workflow `{name}` any more; replay on the version that the run is pinned to")
        }
    };
    Err(RepairError::Wrong("no-current-version", why))
}
