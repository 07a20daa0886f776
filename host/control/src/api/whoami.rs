//! Who the caller is.

use axum::Json;

use crate::access::{May, power};
use crate::tokens::Token;

/// The token that this call was made with, without its text.
#[utoipa::path(get, path = "/whoami", tag = "about",
    responses((status = 200, body = Token)))]
pub(super) async fn whoami(May { caller, .. }: May<power::Ask>) -> Json<Token> {
    Json(caller.token)
}
