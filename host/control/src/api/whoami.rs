//! Who the caller is.

use axum::Json;

use crate::caller::Caller;
use crate::tokens::Token;

/// The token that this call was made with, without its text.
#[utoipa::path(get, path = "/whoami", tag = "about", security(("token" = ["any"])),
    responses((status = 200, body = Token)))]
pub(super) async fn whoami(Caller(token): Caller) -> Json<Token> {
    Json(token)
}
