//! `wharf call`: one outbound endpoint, by hand, outside any run.

use host_model::name::{ConnectionName, EndpointName};

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;

pub(super) async fn call(
    session: &mut Session<'_>,
    connection: &ConnectionName,
    endpoint: &EndpointName,
    data: Option<&str>,
) -> Result<Exit, CommandError> {
    let data = input::data(data, session.terminal)?;
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/connections/{connection}/call/{endpoint}");
    let body = session.api.post(&path).json(&data).value().await?;
    session.show(&body, || body.to_string())
}

pub(super) async fn check(
    session: &mut Session<'_>,
    connection: &ConnectionName,
) -> Result<Exit, CommandError> {
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/connections/{connection}/check");
    let body = session.api.post(&path).value().await?;
    session.show(&body, || body.to_string())
}
