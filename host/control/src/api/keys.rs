//! The keys that secrets are sealed by. No key and no value leaves.

use axum::Json;
use axum::extract::State;
use host_model::name::TenantId;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use crate::Control;
use crate::access::{May, power};
use crate::input::Params;
use crate::ports::Rotated;
use crate::refusal::Refusal;

/// Whose data keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Only this tenant's; every tenant's if left out.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// Which keys hold how many values, by the keys' public names.
#[utoipa::path(get, path = "/keys", tag = "secrets",
    responses((status = 200, body = Object)))]
pub(super) async fn show_keys(
    _: May<power::Host>,
    State(control): State<Control>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(control.keys.report().await?))
}

/// Takes up a new master key and wraps every tenant's data key by it, while
/// secrets are read and written. Again after it was cut off finishes it.
#[utoipa::path(post, path = "/keys/rotate-master", tag = "secrets",
    responses((status = 200, body = Rotated)))]
pub(super) async fn rotate_master_key(
    May { caller, .. }: May<power::Host>,
    State(control): State<Control>,
) -> Result<Json<Rotated>, Refusal> {
    let rotated = control.keys.rotate_master().await?;
    tracing::info!(token.id = %caller.id(), key.id = rotated.master_key, "rotated the master key");
    Ok(Json(rotated))
}

/// Seals every value of one tenant, or of all, by a fresh data key, while
/// secrets are read and written. Again after it was cut off finishes it.
#[utoipa::path(post, path = "/keys/rotate-data", tag = "secrets", params(Whose),
    responses((status = 200, body = Rotated)))]
pub(super) async fn rotate_data_keys(
    May { caller, .. }: May<power::Host>,
    State(control): State<Control>,
    Params(whose): Params<Whose>,
) -> Result<Json<Rotated>, Refusal> {
    let rotated = control.keys.rotate_data(whose.tenant.as_ref()).await?;
    let tenant = whose.tenant.as_ref().map(tracing::field::display);
    tracing::info!(token.id = %caller.id(), tenant.id = tenant, values = rotated.changed, "rotated data keys");
    Ok(Json(rotated))
}
