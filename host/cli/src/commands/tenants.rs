//! `wharf tenant`: who pays.

use std::num::NonZeroU32;

use host_model::name::TenantId;
use serde_json::{Value, json};

use super::{Done, Session, resources};
use crate::api::ApiError;
use crate::args::{Kind, Tenant};
use crate::error::{CommandError, Exit};

pub(super) async fn run(session: &mut Session<'_>, command: Tenant) -> Result<Exit, CommandError> {
    match command {
        Tenant::Create { name, concurrency } => create(session, &name, concurrency).await,
        Tenant::List => resources::list(session, Kind::Tenant).await,
        Tenant::Delete { name } => resources::delete(session, Kind::Tenant, name.as_str()).await,
    }
}

async fn create(
    session: &mut Session<'_>,
    name: &TenantId,
    concurrency: Option<NonZeroU32>,
) -> Result<Exit, CommandError> {
    let path = format!("api/v1/tenants/{name}");
    // A tenant that is there keeps what is not named now: its bounds, above all.
    let mut spec = match session.api.get(&path).value().await {
        Ok(spec) => spec,
        Err(ApiError::Refused { problem, .. }) if problem.status == 404 => json!({ "name": name }),
        Err(error) => return Err(error.into()),
    };
    if let (Value::Object(spec), Some(concurrency)) = (&mut spec, concurrency) {
        spec.insert("concurrency".to_owned(), json!(concurrency));
    }
    let body = session.api.put(&path).json(&spec).value().await?;
    let done: Done = session.api.read(&body)?;
    session.show(&body, || done.told(""))
}
