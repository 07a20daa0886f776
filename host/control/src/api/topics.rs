//! Topics: one message for every workflow that subscribes.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_model::id::RunId;
use host_model::name::TopicName;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{MAX_JSON, Named, whole};
use crate::refusal::Refusal;

/// The runs that a message to a topic started.
#[derive(Serialize, ToSchema)]
pub(super) struct Started {
    #[schema(value_type = Vec<String>)]
    runs: Vec<RunId>,
}

/// Publishes to a topic. The body is the message's data, one JSON text; the
/// runs are durable when the answer arrives. None is no error: nobody
/// subscribes, or every filter refused. `Idempotency-Key` is honoured.
#[utoipa::path(post, path = "/tenants/{tenant}/topics/{name}", tag = "topics",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Object,
    responses((status = 202, body = Started)))]
pub(super) async fn publish_to_topic(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(topic): Named<TopicName>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Started>), Refusal> {
    let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned));
    let key = key.transpose().map_err(|_| Refusal::bad_request("the Idempotency-Key is not ASCII"))?;
    let data = whole(body, MAX_JSON).await?;
    let data: Box<RawValue> = serde_json::from_slice(&data)
        .map_err(|error| Refusal::bad_request(format!("the body is not one JSON text: {error}")))?;
    let runs = control.topics.publish(&tenant.id, &topic, data.get().to_owned(), key).await?;
    Ok((StatusCode::ACCEPTED, Json(Started { runs })))
}
