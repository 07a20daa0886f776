//! What a caller is told when all went well, or went on without it.

use axum::response::{IntoResponse, Response};
use host_model::http_types::Answer;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::{Bound, CallError, Outcome};
use host_model::problem::{PROBLEM_JSON, Problem};
use host_model::run::{Run, RunStatus};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::refusal::json;
use crate::{Prefer, answer};

const JSON: &str = "application/json";

/// What a caller is told.
#[derive(Debug)]
pub enum Reply {
    /// What the connector answered.
    Answer(Answer),
    /// What an HTTP guest answers, its body still streaming.
    Stream(Response),
    /// Runs that are accepted, durably, and not waited for.
    Accepted {
        /// Whose they are.
        tenant: TenantId,
        /// They; none if the message starts no workflow.
        runs: Vec<RunId>,
    },
    /// A run that was waited for: it has ended, or replied and goes on.
    Finished(Box<Run>),
    /// What was sent is durable; there is no more to say.
    Taken,
}

/// Who asked: what a run failed of is for those who hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Anybody,
    Holder,
}

#[derive(Serialize)]
struct AcceptedBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    runs: &'a [RunId],
}

#[derive(Serialize)]
struct FinishedBody {
    run: RunId,
    status: &'static str,
    result: Box<RawValue>,
}

#[derive(Serialize)]
struct FailedBody {
    #[serde(flatten)]
    problem: Problem,
    run: RunId,
}

impl Reply {
    pub(crate) fn into_response(self, prefer: Prefer, audience: Audience) -> Response {
        match self {
            Self::Answer(answer) => answer::buffered(answer).unwrap_or_else(IntoResponse::into_response),
            Self::Stream(response) => answer::streamed(response).unwrap_or_else(IntoResponse::into_response),
            Self::Accepted { tenant, runs } => accepted(&tenant, &runs, prefer),
            Self::Finished(run) => finished(*run, prefer, audience),
            Self::Taken => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

fn accepted(tenant: &TenantId, runs: &[RunId], prefer: Prefer) -> Response {
    let first = runs.first().copied();
    let mut response = json(StatusCode::ACCEPTED, JSON, &AcceptedBody { run: first, runs });
    if let Some(run) = first {
        locate(&mut response, tenant, run);
    }
    if prefer.respond_async {
        let name = header::HeaderName::from_static("preference-applied");
        response.headers_mut().insert(name, HeaderValue::from_static("respond-async"));
    }
    response
}

fn finished(run: Run, prefer: Prefer, audience: Audience) -> Response {
    let mut response = match (run.status, &run.outcome) {
        // The run replied before its end, which changes nothing about it.
        _ if run.reply.is_some() => {
            let result = raw(run.reply.as_deref().unwrap_or_default());
            json(StatusCode::OK, JSON, &FinishedBody { run: run.id, status: run.status.as_str(), result })
        }
        (_, None) => return accepted(&run.tenant, &[run.id], prefer),
        (RunStatus::Succeeded, Some(Outcome::Answered(answer))) => {
            let body = FinishedBody { run: run.id, status: run.status.as_str(), result: raw(answer) };
            json(StatusCode::OK, JSON, &body)
        }
        (_, Some(outcome)) => {
            let problem = failed(&run, outcome, audience);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_GATEWAY);
            json(status, PROBLEM_JSON, &FailedBody { problem, run: run.id })
        }
    };
    locate(&mut response, &run.tenant, run.id);
    response
}

/// A run's failure as its caller sees it: it is recorded, so it is looked up
/// rather than told, except what the caller can put right.
fn failed<T>(run: &Run, outcome: &Outcome<T>, audience: Audience) -> Problem {
    let status = match outcome {
        Outcome::Declined(CallError::InvalidInput(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        Outcome::Exceeded(exceeded) if exceeded.bound == Bound::WallTime => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let place = run.failure.as_ref().and_then(|failure| failure.place.as_deref());
    let at = place.map(|place| format!(" at {place}")).unwrap_or_default();
    let why = match (audience, outcome) {
        (Audience::Anybody, _) | (_, Outcome::Answered(_)) => String::new(),
        (_, Outcome::Declined(error)) => format!(": {error}"),
        (_, Outcome::Exceeded(exceeded)) => format!("{at}: the workflow {exceeded}"),
        (_, Outcome::Trapped(_)) => format!("{at}: the workflow crashed"),
        (_, Outcome::BadAnswer(why)) => format!(": the workflow gave a bad answer: {why}"),
    };
    Problem::new(status, "run-failed", format!("run {} failed{why}", run.id))
}

fn locate(response: &mut Response, tenant: &TenantId, run: RunId) {
    // Names and ids are ASCII without spaces: always a header value.
    if let Ok(place) = HeaderValue::try_from(format!("/api/v1/tenants/{tenant}/runs/{run}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
}

/// The answer as the JSON that it is; as a JSON string should it be none.
fn raw(answer: &str) -> Box<RawValue> {
    serde_json::from_str(answer)
        .or_else(|_| to_raw_value(answer))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}
