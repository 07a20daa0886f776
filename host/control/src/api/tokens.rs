//! Tokens: made, listed and deleted by the operator.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use host_model::id::TokenId;
use host_model::name::TenantId;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::resources::{Deleted, paged};
use crate::Control;
use crate::caller::{Caller, Operator};
use crate::input::{Named, Page, Params, json};
use crate::refusal::Refusal;
use crate::tokens::{Scope, Token};

/// The most bytes of a note.
const MAX_NOTE: usize = 200;

/// What to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NewToken {
    /// The only tenant that it may name; `null` for an operator's token.
    // Required: forgetting it must not make a token that may do everything.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<String>, required)]
    tenant: Option<TenantId>,
    /// For people: who will have it.
    #[serde(default)]
    note: String,
}

/// A token with its text, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    #[serde(flatten)]
    about: Token,
    /// The text to send: `Authorization: Bearer wharf_...`.
    token: String,
}

/// The tokens, oldest first, without their texts.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(Page), security(("token" = ["operator"])),
    responses((status = 200, body = [Token])))]
pub(super) async fn list_tokens(
    State(control): State<Control>,
    _: Operator,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    let limit = page.limit();
    let tokens = control.tokens.list(page.after()?, limit).await?;
    let last = tokens.last().map(|token| token.id.to_string());
    Ok(paged(tokens, limit, last))
}

/// Makes a token.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    security(("token" = ["operator"])), responses((status = 201, body = MadeToken)))]
pub(super) async fn create_token(
    State(control): State<Control>,
    Operator(Caller(by)): Operator,
    body: Body,
) -> Result<Response, Refusal> {
    let NewToken { tenant, note } = json(body).await?;
    if note.len() > MAX_NOTE || note.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!("`note` is one line of at most {MAX_NOTE} bytes")));
    }
    let scope = match tenant {
        None => Scope::Operator,
        Some(tenant) if control.catalog.tenant(&tenant).is_some() => Scope::Tenant { tenant },
        Some(tenant) => return Err(Refusal::invalid(format!("tenant `{tenant}` does not exist"))),
    };
    let (about, text) = control.tokens.create(scope, note).await?;
    tracing::info!(token.id = %by.id, made = %about.id, scope = ?about.scope, "made token {}", about.id);
    let made = MadeToken { about, token: text.reveal_once().to_owned() };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Deletes a token. It is refused from then on.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "tokens", params(("name" = String, Path, description = "The token's id")),
    security(("token" = ["operator"])), responses((status = 200, body = Deleted)))]
pub(super) async fn delete_token(
    State(control): State<Control>,
    Operator(Caller(by)): Operator,
    Named(id): Named<TokenId>,
) -> Result<Json<Deleted>, Refusal> {
    if !control.tokens.delete(id).await? {
        return Err(Refusal::Absent);
    }
    tracing::info!(token.id = %by.id, deleted = %id, "deleted token {id}");
    Ok(Json(Deleted::new("token", &id)))
}
