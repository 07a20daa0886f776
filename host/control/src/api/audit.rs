//! The audit log: searched, exported, verified. A tenant's admin sees the
//! entries of its own tenant.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;
use host_audit::{Audit, Chain, Cursor, Found, Search, Which};
use host_model::clock::Timestamp;
use host_store::StoreError;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::resources::linked;
use super::runs::instant;
use crate::Control;
use crate::access::{Caller, May, power};
use crate::input::Params;
use crate::refusal::Refusal;

/// The most entries of one page.
const MAX_PAGE: usize = 1_000;
const PAGE: usize = 100;

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichEntries {
    /// About this tenant's things; `!` for what is the host's. Without it an
    /// operator sees all, anybody else its own tenant's.
    tenant: Option<String>,
    /// At this instant or after: `2026-01-31T08:00:00Z`.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Before this instant.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// By this token, named by its id or its note; or by `host`, or by `nobody`.
    actor: Option<String>,
    /// Of this operation: `put_connection`.
    operation: Option<String>,
    /// About this kind of thing: `connection`.
    kind: Option<String>,
    /// About the thing of this name.
    name: Option<String>,
    /// Older than this place: from the link of the page before.
    after: Option<String>,
    /// At most so many; 100 if left out, 1,000 at most.
    limit: Option<usize>,
}

/// Whose chains.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichChains {
    /// Only this tenant's; `!` for the host's own.
    tenant: Option<String>,
}

/// What to export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichLines {
    /// Only this tenant's; `!` for the host's own.
    tenant: Option<String>,
    /// What happened at this instant or after.
    #[serde(default, deserialize_with = "instant")]
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// With `tenant`: what comes after the entry of this number.
    after: Option<u64>,
}

/// Who did what to what, newest first. A page may be short, even empty; while
/// there is a next one, a `Link` header has it.
#[utoipa::path(get, path = "/audit", tag = "audit", params(WhichEntries),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_audit(
    May { caller, .. }: May<power::ReadAudit>,
    State(control): State<Control>,
    Params(which): Params<WhichEntries>,
    uri: http::Uri,
) -> Result<Response, Refusal> {
    let WhichEntries { tenant, since, until, actor, operation, kind, name, after, limit } = which;
    let after = after.map(|after| after.parse::<Cursor>()).transpose();
    let after = after.map_err(|error| Refusal::bad_request(error.to_string()))?;
    let limit = limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let which = chains(&caller, tenant.as_deref())?;
    let search = Search { which, since, until, actor, operation, kind, name, after, limit };
    let Found { entries, next } = control.audit.search(&search).await?;
    Ok(linked(entries, next.map(|next| following(&uri, &next))))
}

/// The same query, from another place on.
fn following(uri: &http::Uri, next: &Cursor) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != "after" {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("after", &next.to_string()).finish()
}

/// Every entry, a line of JSON each, chain by chain and oldest first. The
/// SHA-256 of a line is what the next line of its chain names as `prev`.
#[utoipa::path(get, path = "/audit/export", tag = "audit", params(WhichLines),
    responses((status = 200, content_type = "application/x-ndjson", body = String)))]
pub(super) async fn export_audit(
    May { caller, .. }: May<power::ReadAudit>,
    State(control): State<Control>,
    Params(WhichLines { tenant, since, after }): Params<WhichLines>,
) -> Result<Response, Refusal> {
    if after.is_some() && tenant.is_none() && caller.is_operator() {
        return Err(Refusal::invalid("`after` is a number of one chain: name its `tenant`"));
    }
    let heads = control.audit.heads_in(&chains(&caller, tenant.as_deref())?).await?;
    let mut left: Vec<Chain> = heads.into_iter().map(|head| head.chain).collect();
    left.reverse();
    let export = Export { audit: control.audit, left, now: None, since, after };
    let lines = stream::try_unfold(export, |mut export| async move {
        Ok::<_, StoreError>(export.page().await?.map(|page| (page, export)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// An export on its way.
struct Export {
    audit: Arc<Audit>,
    /// The chains that come later, the next one last.
    left: Vec<Chain>,
    /// The chain that is being read, and after which of its entries.
    now: Option<(Chain, u64)>,
    since: Option<Timestamp>,
    after: Option<u64>,
}

impl Export {
    /// The next lines; `None` at the end.
    async fn page(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let (chain, after) = match self.now.take() {
                Some(now) => now,
                None => {
                    let Some(chain) = self.left.pop() else { return Ok(None) };
                    let before = self.audit.before(&chain, self.since).await?;
                    (chain, before.max(self.after.unwrap_or(0)))
                }
            };
            let page = self.audit.lines(&chain, after).await?;
            self.now = page.next.map(|next| (chain, next));
            if !page.lines.is_empty() {
                let mut text = BytesMut::new();
                for line in &page.lines {
                    text.extend_from_slice(line);
                    text.extend_from_slice(b"\n");
                }
                return Ok(Some(text.freeze()));
            }
        }
    }
}

/// Where each chain ends now: keep this elsewhere, and nobody can rewrite what
/// was before without its showing.
#[utoipa::path(get, path = "/audit/heads", tag = "audit", params(WhichChains),
    responses((status = 200, body = [Object])))]
pub(super) async fn audit_heads(
    May { caller, .. }: May<power::ReadAudit>,
    State(control): State<Control>,
    Params(WhichChains { tenant }): Params<WhichChains>,
) -> Result<Json<Value>, Refusal> {
    let heads = control.audit.heads_in(&chains(&caller, tenant.as_deref())?).await?;
    Ok(Json(json!(heads)))
}

/// Reads the chains from end to end, and says the first place where each was
/// changed after it was written, if any was.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", params(WhichChains),
    responses((status = 200, body = [Object])))]
pub(super) async fn verify_audit(
    May { caller, .. }: May<power::ReadAudit>,
    State(control): State<Control>,
    Params(WhichChains { tenant }): Params<WhichChains>,
) -> Result<Json<Value>, Refusal> {
    let verified = control.audit.verify(&chains(&caller, tenant.as_deref())?).await?;
    Ok(Json(json!(verified)))
}

/// The chains that are meant. Another tenant's look as if they were not there.
fn chains(caller: &Caller, named: Option<&str>) -> Result<Which, Refusal> {
    let named = named.map(str::parse::<Chain>).transpose().map_err(|_| Refusal::Absent)?;
    match (caller.token.scope.tenant(), named) {
        (None, None) => Ok(Which::All),
        (None, Some(chain)) => Ok(Which::One(chain)),
        (Some(own), Some(chain)) if chain.tenant() != Some(own) => Err(Refusal::Absent),
        (Some(own), _) => Ok(Which::One(Chain::Tenant(own.clone()))),
    }
}
