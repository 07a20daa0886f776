//! `wharf secret`: values go in and never come back; what seals them is rotated.

use std::collections::BTreeMap;
use std::path::Path;

use host_model::name::SecretName;
use http::Method;
use serde::Deserialize;
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
        Secret::Keys => keys(session).await,
        Secret::RotateMaster => rotate(session, "rotate-master", &[], "data keys wrapped").await,
        Secret::RotateData => {
            let whose = session.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string()));
            rotate(session, "rotate-data", whose.as_slice(), "values sealed").await
        }
    }
}

/// What is known of the keys.
#[derive(Deserialize)]
struct Report {
    current: String,
    data_keys: usize,
    under_older: BTreeMap<String, usize>,
    unreadable: BTreeMap<String, usize>,
    values: usize,
    values_under_older: usize,
}

async fn keys(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let body = session.api.get("api/v1/keys").value().await?;
    let Report { current, data_keys, under_older, unreadable, values, values_under_older } =
        session.api.read(&body)?;
    session.show(&body, || {
        let mut lines = vec![format!("master key {current}: {data_keys} data keys (current)")];
        lines.extend(under_older.iter().map(|(key, count)| format!("master key {key}: {count} data keys")));
        lines.extend(
            unreadable.iter().map(|(key, count)| format!("master key {key}: {count} data keys, NOT KNOWN")),
        );
        lines.push(format!("{values} values, {values_under_older} of them under an older data key"));
        lines.join("\n")
    })
}

/// What a rotation did.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Rotated {
    master_key: String,
    changed: usize,
}

async fn rotate(
    session: &mut Session<'_>,
    how: &str,
    query: &[(&str, String)],
    what: &str,
) -> Result<Exit, CommandError> {
    let body = session.api.ask(Method::POST, &format!("api/v1/keys/{how}"), query).value().await?;
    let Rotated { master_key, changed } = session.api.read(&body)?;
    session.show(&body, || format!("{changed} {what} anew; the master key is {master_key}"))
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
