//! Secrets: values go in and never come back.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_audit::{Chain, Deed};
use host_model::name::SecretName;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::resources::Deleted;
use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{Named, json};
use crate::refusal::Refusal;

/// A secret's value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretValue {
    /// Kept encrypted, and sent only where a connection's manifest says.
    value: String,
}

/// The names of a tenant's secrets.
#[utoipa::path(get, path = "/tenants/{tenant}/secrets", tag = "secrets", params(("tenant" = String, Path)),
    responses((status = 200, body = [String])))]
pub(super) async fn list_secrets(
    tenant: InTenant<power::See>,
    State(control): State<Control>,
) -> Result<Json<Vec<SecretName>>, Refusal> {
    Ok(Json(control.secrets.names(&tenant.id).await?))
}

/// Sets a secret, over an earlier value.
#[utoipa::path(put, path = "/tenants/{tenant}/secrets/{name}", tag = "secrets",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = SecretValue,
    responses((status = 204, description = "It is kept")))]
pub(super) async fn put_secret(
    InTenant { caller, id, .. }: InTenant<power::KeepSecrets>,
    State(control): State<Control>,
    Named(name): Named<SecretName>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let SecretValue { value } = json(body).await.map_err(silent)?;
    let value = SecretString::from(value);
    let deed = Deed::new(Chain::Tenant(id.clone()), "secret", name.as_str());
    let set = |beside| control.secrets.set(&id, &name, value.clone(), beside);
    control.audit.alongside(&caller.act, vec![deed], set).await?;
    tracing::info!(token.id = %caller.id(), tenant.id = %id, secret.name = %name, "set secret `{name}`");
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a secret. Connections that use it fail from then on.
#[utoipa::path(delete, path = "/tenants/{tenant}/secrets/{name}", tag = "secrets",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_secret(
    InTenant { caller, id, .. }: InTenant<power::KeepSecrets>,
    State(control): State<Control>,
    Named(name): Named<SecretName>,
) -> Result<Json<Deleted>, Refusal> {
    let deed = Deed::new(Chain::Tenant(id.clone()), "secret", name.as_str());
    let delete = |beside| control.secrets.delete(&id, &name, beside);
    if !control.audit.alongside(&caller.act, vec![deed], delete).await? {
        return Err(Refusal::Absent);
    }
    tracing::info!(token.id = %caller.id(), tenant.id = %id, secret.name = %name, "deleted secret `{name}`");
    Ok(Json(Deleted::new("secret", &name)))
}

/// A message about a body that did not fit could quote it.
fn silent(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Wrong(status, code, _) if status != StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::Wrong(status, code, "send one JSON object: { \"value\": \"...\" }".to_owned())
        }
        other => other,
    }
}
