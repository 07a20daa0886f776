//! `wharf secret`: values go in and never come back.

use std::path::Path;

use host_model::name::SecretName;
use serde_json::json;

use super::Session;
use crate::args::Secret;
use crate::error::{CommandError, Exit};
use crate::input;

pub(super) async fn run(session: &mut Session<'_>, command: Secret) -> Result<Exit, CommandError> {
    match command {
        Secret::Set { name, value_file } => set(session, &name, value_file.as_deref()).await,
        Secret::List => list(session).await,
        Secret::Delete { name } => {
            let path = format!("api/v1/tenants/{}/secrets/{name}", session.tenant().await?);
            session.delete(&path).await
        }
    }
}

async fn set(
    session: &mut Session<'_>,
    name: &SecretName,
    file: Option<&Path>,
) -> Result<Exit, CommandError> {
    let value = input::secret(&format!("value of secret `{name}`: "), file, session.terminal)?;
    let path = format!("api/v1/tenants/{}/secrets/{name}", session.tenant().await?);
    session.api.put(&path).json(&json!({ "value": value })).value().await?;
    session.show(&json!({ "kind": "secret", "name": name, "action": "stored" }), || {
        format!("secret {name}: stored")
    })
}

async fn list(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let path = format!("api/v1/tenants/{}/secrets", session.tenant().await?);
    let body = session.api.get(&path).value().await?;
    let names: Vec<SecretName> = session.api.read(&body)?;
    session.show(&body, || match names.as_slice() {
        [] => "no secrets yet".to_owned(),
        names => names.iter().map(SecretName::as_str).collect::<Vec<_>>().join("\n"),
    })
}
