//! `wharf connection`: what is done to a connection besides writing it.

use host_model::name::ConnectionName;
use serde::Deserialize;

use super::Session;
use crate::error::{CommandError, Exit};

/// An authorization that was begun.
#[derive(Deserialize)]
struct Beginning {
    url: String,
    until: String,
}

/// Prints where somebody authorizes the connection.
pub(super) async fn authorize(
    session: &mut Session<'_>,
    name: &ConnectionName,
) -> Result<Exit, CommandError> {
    let tenant = session.tenant().await?;
    let path = format!("api/v1/tenants/{tenant}/connections/{name}/authorize");
    let body = session.api.post(&path).value().await?;
    let Beginning { url, until } = session.api.read(&body)?;
    session.show(&body, || {
        format!("open this page as whoever authorizes connection {name}, until {until}:\n{url}")
    })
}
