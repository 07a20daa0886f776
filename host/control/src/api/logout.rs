//! The end of a login.

use axum::Json;
use axum::extract::State;
use http::StatusCode;

use super::resources::Deleted;
use crate::Control;
use crate::access::{May, power};
use crate::refusal::Refusal;

/// Ends the login that this call is made with: its token is refused from then on.
#[utoipa::path(post, path = "/logout", tag = "about",
    responses((status = 200, body = Deleted)))]
pub(super) async fn logout(
    May { caller, .. }: May<power::Ask>,
    State(control): State<Control>,
) -> Result<Json<Deleted>, Refusal> {
    let id = caller.id();
    if caller.token.subject.is_none() {
        // A program that loses its token by a slip is not found by its owner for days.
        let why = format!("this token is of no login: `wharf token delete {id}` ends it");
        return Err(Refusal::Wrong(StatusCode::CONFLICT, "no-login", why));
    }
    control.tokens.delete(id, &caller.act).await?;
    tracing::info!(token.id = %id, "logged out");
    Ok(Json(Deleted::new("token", &id)))
}
