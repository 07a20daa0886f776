//! Events for runs that wait for them, sent by whoever speaks for the tenant.

use axum::body::Body;
use axum::extract::{Path, State};
use host_model::id::RunId;
use http::StatusCode;

use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{MAX_JSON, whole};
use crate::ports::EventError;
use crate::refusal::Refusal;

/// Sends an event to a run: the body is its data, one JSON text. One that the
/// run has not asked for yet is kept until it does; the first of a name counts.
#[utoipa::path(post, path = "/tenants/{tenant}/runs/{name}/events/{event}", tag = "runs",
    params(("tenant" = String, Path), ("name" = String, Path, description = "The run's id"),
        ("event" = String, Path, description = "The event's name within the run")),
    request_body = Object,
    responses((status = 204, description = "The event is durable"),
        (status = 409, description = "`event-taken`: it came before; `events-full`: too many wait for the run"),
        (status = 410, description = "`run-over`: the run has ended")))]
pub(super) async fn send_event(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Path(path): Path<(String, String, String)>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let (_, run, event) = path;
    let run: RunId = run.parse().map_err(|_| Refusal::Absent)?;
    let data = String::from_utf8(whole(body, MAX_JSON).await?.into())
        .map_err(|_| Refusal::bad_request("the body is not UTF-8"))?;
    control.events.send(&tenant.id, run, &event, data).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<EventError> for Refusal {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Absent => Self::Absent,
            EventError::Taken(why) => Self::Wrong(StatusCode::CONFLICT, "event-taken", why),
            EventError::Crowded(why) => Self::Wrong(StatusCode::CONFLICT, "events-full", why),
            EventError::Over(why) => Self::Wrong(StatusCode::GONE, "run-over", why),
            EventError::Invalid(why) => Self::bad_request(why),
            EventError::Internal(why) => Self::Internal(why.into()),
        }
    }
}
