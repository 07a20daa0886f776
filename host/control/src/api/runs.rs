//! Runs: what ran, and how.

use std::num::NonZeroUsize;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::{ConnectionName, WorkflowName};
use host_model::run::{Run, RunStatus, Step};
use host_model::search::{BadFilter, Filter};
use http::request::Parts;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::resources::linked;
use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{Named, query};
use crate::ports::{RunPage, RunQuery, RunStory};
use crate::refusal::Refusal;

/// The most runs of a page; each carries its input and its outcome.
pub(super) const MAX_PAGE: usize = 100;
const PAGE: usize = 50;

/// Which runs: those that match all that is said.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Of this workflow only.
    #[param(value_type = Option<String>)]
    workflow: Option<WorkflowName>,
    /// Those that stand there: `accepted`, `waiting`, `paused`, `cancelling`,
    /// `succeeded`, `failed`, `diverged`, `cancelled` or `terminated`.
    #[param(value_type = Option<String>)]
    status: Option<RunStatus>,
    /// Accepted at this instant or later: `2026-01-31T08:00:00Z`.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Accepted before this instant.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// Those that failed like this: the case of the error that the workflow
    /// declined with (`unauthorized`, `rate-limited`, …), the bound that it
    /// passed (`fuel`, …), `trapped`, `bad-answer` or `diverged`.
    error: Option<String>,
    /// Those that this connection started or that called it.
    #[param(value_type = Option<String>)]
    connection: Option<ConnectionName>,
    /// Those that set a business key: its name, a colon, its value. May be
    /// given up to four times, each with another name.
    #[serde(default, skip_deserializing)]
    key: Vec<String>,
    /// Runs older than this one: the last of the page before.
    #[param(value_type = Option<String>)]
    after: Option<RunId>,
    /// At most so many; 50 if left out, 100 at most.
    limit: Option<usize>,
}

/// What was asked for, and could be.
pub(super) struct Which {
    filter: Filter,
    after: Option<RunId>,
    limit: Option<usize>,
    /// The query without what differs from page to page.
    again: String,
}

pub(super) fn instant<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(from)?;
    let bad = |error| {
        let text: String = text.chars().take(40).collect();
        D::Error::custom(format!(
            "`{text}` is no instant ({error}); write one like 2026-01-31T08:00:00Z, and a `+` as %2B"
        ))
    };
    text.parse().map(Some).map_err(bad)
}

impl FromRequestParts<Control> for Which {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Control) -> Result<Self, Refusal> {
        // `key` may be there several times, which a struct cannot say.
        let empty = || form_urlencoded::Serializer::new(String::new());
        let (mut key, mut once, mut again) = (Vec::new(), empty(), empty());
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            if !matches!(&*name, "after" | "limit") {
                again.append_pair(&name, &value);
            }
            if name == "key" {
                key.push(value.into_owned());
            } else {
                once.append_pair(&name, &value);
            }
        }
        let asked = Asked { key, ..query(&once.finish())? };
        Self::of(asked, again.finish()).map_err(|error| Refusal::bad_request(error.to_string()))
    }
}

impl Which {
    fn of(asked: Asked, again: String) -> Result<Self, BadFilter> {
        let Asked { workflow, status, since, until, error, connection, key, after, limit } = asked;
        let mut filter = Filter { workflow, status, since, until, error, connection, ..Filter::default() };
        key.iter().try_for_each(|key| filter.add_key(key))?;
        filter.check()?;
        Ok(Self { filter, after, limit, again })
    }

    /// What was asked for, at most `most` runs at a time.
    pub(super) fn query(&self, most: usize) -> RunQuery {
        let limit = self.limit.unwrap_or(PAGE).min(most);
        let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
        RunQuery { filter: self.filter.clone(), after: self.after, limit }
    }

    /// The query of the page that goes on after `next`.
    pub(super) fn next(&self, next: RunId) -> String {
        let limit = self.limit.unwrap_or(PAGE);
        let again = if self.again.is_empty() { String::new() } else { format!("&{}", self.again) };
        format!("after={next}&limit={limit}{again}")
    }
}

/// A run with its steps, in order of their numbers.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    #[schema(value_type = Object)]
    pub(super) run: Run,
    #[schema(value_type = Vec<Object>)]
    pub(super) steps: Vec<Step>,
}

/// A tenant's runs, newest first: those that match all that is said. A page
/// may be short, even empty; while there is a next one, a `Link` header has it.
#[utoipa::path(get, path = "/tenants/{tenant}/runs", tag = "runs", params(("tenant" = String, Path), Asked),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_runs(
    tenant: InTenant<power::SeeRuns>,
    State(control): State<Control>,
    which: Which,
) -> Result<Response, Refusal> {
    let RunPage { mut runs, next } = control.runs.list(&tenant.id, which.query(MAX_PAGE)).await?;
    runs.retain(|run| tenant.sees(run));
    // A page may be short, even empty, and still not the last: a search reads only so much for one.
    Ok(linked(runs, next.map(|next| which.next(next))))
}

/// One run and what it did.
#[utoipa::path(get, path = "/tenants/{tenant}/runs/{name}", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id")),
    responses((status = 200, body = Shown)))]
pub(super) async fn show_run(
    tenant: InTenant<power::SeeRuns>,
    State(control): State<Control>,
    Named(id): Named<RunId>,
) -> Result<Json<Shown>, Refusal> {
    let story = control.runs.show(&tenant.id, id).await?.filter(|story| tenant.sees(&story.run));
    let RunStory { run, steps } = story.ok_or(Refusal::Absent)?;
    Ok(Json(Shown { run, steps }))
}
