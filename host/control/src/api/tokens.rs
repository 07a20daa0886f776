//! Tokens: the operator keeps all of them, a tenant's admin those of its tenant.

use std::time::Duration;

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
use crate::access::{Caller, Limits, May, RoleName, Scope, power, scope_of};
use crate::input::{Named, Page, Params, json};
use crate::refusal::Refusal;
use crate::tokens::{self, Token, TokenText};

/// The most bytes of a note.
const MAX_NOTE: usize = 200;
/// The most workflows and connections that a service token is limited to: its
/// record has to fit a value of the store many times over.
const MAX_LIMITS: usize = 100;

/// The longest that a token may be made to last, or that its old text overlaps.
const MAX_LASTS: u64 = 10 * 365 * 86_400;
const MAX_OVERLAP: u64 = 30 * 86_400;

/// What to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct NewToken {
    /// The only tenant that it may name; `null` for an operator's token.
    // Required, as is the role: forgetting one must not make a token that may do everything.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<String>, required)]
    tenant: Option<TenantId>,
    /// What it may do there.
    role: RoleName,
    /// For the role `service`, what it is limited to: the workflows that it may
    /// start and the connections that it may call.
    #[serde(default)]
    limits: Option<Limits>,
    /// For people: who will have it.
    #[serde(default)]
    note: String,
    /// After so many seconds it ends by itself; never if left out.
    #[serde(default)]
    expires_in_s: Option<u64>,
}

/// How to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Rotation {
    /// For so many seconds the old text is good beside the new one; 30 days at
    /// most. With 0 it is refused at once.
    overlap_s: u64,
}

/// A token with its text, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken {
    #[serde(flatten)]
    about: Token,
    /// The text to send: `Authorization: Bearer wharf_...`.
    token: String,
}

impl MadeToken {
    pub(crate) fn new(about: Token, text: &TokenText) -> Self {
        Self { about, token: text.reveal_once().to_owned() }
    }
}

/// The tokens, oldest first, without their texts: all, or an admin's tenant's.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(Page),
    responses((status = 200, body = [Token])))]
pub(super) async fn list_tokens(
    May { caller, .. }: May<power::KeepTokens>,
    State(control): State<Control>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    let limit = page.limit();
    let of = caller.token.scope.tenant();
    let tokens = control.tokens.list(of, page.after()?, limit).await?;
    let last = tokens.last().map(|token| token.id.to_string());
    Ok(paged(tokens, limit, last))
}

/// Makes a token. An admin makes those of its own tenant.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = MadeToken)))]
pub(super) async fn create_token(
    May { caller, .. }: May<power::KeepTokens>,
    State(control): State<Control>,
    body: Body,
) -> Result<Response, Refusal> {
    let NewToken { tenant, role, limits, note, expires_in_s } = json(body).await?;
    if expires_in_s.is_some_and(|lasts| !(1..=MAX_LASTS).contains(&lasts)) {
        return Err(Refusal::invalid(format!("`expires-in-s` is from 1 to {MAX_LASTS} seconds")));
    }
    if note.len() > MAX_NOTE || note.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!("`note` is one line of at most {MAX_NOTE} bytes")));
    }
    let named = limits.as_ref().map_or(0, |limits| limits.workflows.len() + limits.connections.len());
    if named > MAX_LIMITS {
        return Err(Refusal::invalid(format!("`limits` names {named} things, {MAX_LIMITS} are the most")));
    }
    let scope = scope_of(tenant, role, limits).map_err(Refusal::invalid)?;
    may_keep(&caller, &scope)?;
    if let Some(tenant) = scope.tenant().filter(|tenant| control.catalog.tenant(tenant).is_none()) {
        return Err(Refusal::invalid(format!("tenant `{tenant}` does not exist")));
    }
    let lasts = expires_in_s.map(Duration::from_secs);
    let (about, text) =
        control.tokens.create(tokens::NewToken { scope, note, subject: None, lasts }, &caller.act).await?;
    tracing::info!(token.id = %caller.id(), made = %about.id, scope = ?about.scope, "made token {}", about.id);
    Ok((StatusCode::CREATED, Json(MadeToken::new(about, &text))).into_response())
}

/// Gives a token a new text, which is shown this once. The old one is good
/// until the overlap ends; what else the token is stays.
#[utoipa::path(post, path = "/tokens/{name}/rotate", tag = "tokens",
    params(("name" = String, Path, description = "The token's id")), request_body = Rotation,
    responses((status = 200, body = MadeToken)))]
pub(super) async fn rotate_token(
    May { caller, .. }: May<power::KeepTokens>,
    State(control): State<Control>,
    Named(id): Named<TokenId>,
    body: Body,
) -> Result<Json<MadeToken>, Refusal> {
    if kept_by(&control, &caller, id).await?.subject.is_some() {
        // Whoever had the new text would act under the person's name.
        let why = "this token is of a login, which is nobody's to hand on: its owner logs in again";
        return Err(Refusal::Wrong(StatusCode::CONFLICT, "login", why.to_owned()));
    }
    let Rotation { overlap_s } = json(body).await?;
    if overlap_s > MAX_OVERLAP {
        return Err(Refusal::invalid(format!("`overlap-s` is at most {MAX_OVERLAP}, which are 30 days")));
    }
    let rotated = control.tokens.rotate(id, Duration::from_secs(overlap_s), &caller.act).await?;
    let (about, text) = rotated.ok_or(Refusal::Absent)?;
    tracing::info!(token.id = %caller.id(), rotated = %id, overlap_s, "rotated token {id}");
    Ok(Json(MadeToken::new(about, &text)))
}

/// Deletes a token. It is refused from then on.
#[utoipa::path(delete, path = "/tokens/{name}", tag = "tokens", params(("name" = String, Path, description = "The token's id")),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_token(
    May { caller, .. }: May<power::KeepTokens>,
    State(control): State<Control>,
    Named(id): Named<TokenId>,
) -> Result<Json<Deleted>, Refusal> {
    kept_by(&control, &caller, id).await?;
    if !control.tokens.delete(id, &caller.act).await? {
        return Err(Refusal::Absent);
    }
    tracing::info!(token.id = %caller.id(), deleted = %id, "deleted token {id}");
    Ok(Json(Deleted::new("token", &id)))
}

/// Whether the caller keeps tokens of this scope. Another tenant looks as one
/// that does not exist.
fn may_keep(caller: &Caller, scope: &Scope) -> Result<(), Refusal> {
    match (caller.token.scope.tenant(), scope.tenant()) {
        (None, _) => Ok(()),
        (Some(own), Some(tenant)) if own == tenant => Ok(()),
        (Some(_), Some(tenant)) => Err(Refusal::invalid(format!("tenant `{tenant}` does not exist"))),
        (Some(_), None) => {
            Err(Refusal::Forbidden("an operator's token is the operator's to make".to_owned()))
        }
    }
}

/// The token with this id, if the caller keeps it.
async fn kept_by(control: &Control, caller: &Caller, id: TokenId) -> Result<Token, Refusal> {
    let token = control.tokens.show(id).await?.ok_or(Refusal::Absent)?;
    match caller.token.scope.tenant() {
        Some(own) if token.scope.tenant() != Some(own) => Err(Refusal::Absent),
        _ => Ok(token),
    }
}
