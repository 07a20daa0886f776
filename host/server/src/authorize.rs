//! Authorizations of connections (OAuth 2): begun through the API, ended on a
//! page of this host to which the authorization server sends people back.
//!
//! The page is the only thing here that anybody may ask for without a token.
//! What it is asked with is a state that was given to whoever began, and a code
//! that is worth nothing without what is kept beside that state.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use host_audit::{Act, Actor, Audit, Chain, Deed, Outcome, RequestId};
use host_control::ports::{Authorizations, Beginning, PortError};
use host_control::{Tokens, escape, page};
use host_egress::{AuthorizeError, Egress};
use host_model::effects::BoxFuture;
use host_model::http_types::Peer;
use host_model::name::{ConnectionName, TenantId};
use host_model::resource::Connection;
use host_routing::Routes;
use http::StatusCode;
use serde::Deserialize;

/// What somebody does there, as the audit log calls it.
const COMPLETE: &str = "complete_authorization";
/// Where authorization servers send people back to.
const CALLBACK: &str = "/oauth/callback";

/// Begins authorizations.
pub(crate) struct Authorizing {
    pub(crate) egress: Arc<Egress>,
    /// Where the outside reaches this host.
    pub(crate) public_url: String,
}

impl Authorizations for Authorizing {
    fn needed<'a>(&'a self, connection: &'a Connection) -> BoxFuture<'a, Result<Option<String>, PortError>> {
        Box::pin(async move {
            let needed = self.egress.unauthorized(connection).await;
            needed.map_err(|error| PortError::Internal(error.to_string()))
        })
    }

    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Beginning, PortError>> {
        Box::pin(async move {
            let back = format!("{}{CALLBACK}", self.public_url);
            match self.egress.begin_authorization(connection, &back, by).await {
                Ok(begun) => Ok(Beginning { url: begun.url, until: begun.until }),
                Err(AuthorizeError::Host(error)) => Err(PortError::Internal(error.to_string())),
                Err(refused) => Err(PortError::Refused(refused.to_string())),
            }
        })
    }
}

/// What the page knows.
#[derive(Clone)]
pub(crate) struct Callback {
    pub(crate) egress: Arc<Egress>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) tokens: Tokens,
    pub(crate) audit: Arc<Audit>,
}

/// What somebody came back for, and from where.
struct Return {
    tenant: TenantId,
    name: ConnectionName,
    /// The id of the token that began it.
    by: String,
    from: Option<IpAddr>,
}

impl Callback {
    /// Enters what became of it, by whoever began it: the state that was shown was theirs.
    async fn enter(&self, back: &Return, outcome: Outcome, detail: &str) {
        let Return { tenant, name, by, from } = back;
        let token = match by.parse() {
            Ok(id) => self.tokens.show(id).await.ok().flatten(),
            Err(_) => None,
        };
        let by = token.map_or(Actor::Nobody, |token| Actor::Token {
            id: token.id,
            role: token.scope.role_name().to_owned(),
            note: token.note,
        });
        // Zeros are a worse name for a request than none of its own, and better than no entry.
        let mut random = [0; 8];
        let _ = getrandom::fill(&mut random);
        let act = Act::new(by, *from, RequestId::new(random), COMPLETE);
        let deed = Deed::new(Chain::Tenant(tenant.clone()), "connection", name.as_str()).detail(detail);
        let entered = match outcome {
            Outcome::Done => self.audit.record(&act, deed, outcome).await,
            // What comes to nothing may come again and again.
            Outcome::Refused | Outcome::Failed => self.audit.tell(&act, deed, outcome).await,
        };
        if let Err(error) = entered {
            tracing::error!(tenant.id = %tenant, connection.name = %name, %error, "what became of an authorization of connection `{name}` is not in the audit log: {error}");
        }
    }
}

/// The page.
pub(crate) fn router(callback: Callback) -> Router {
    Router::new().route(CALLBACK, get(come_back)).with_state(callback)
}

/// What an authorization server sends along (RFC 6749, 4.1.2). None of it is shown.
#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    error: Option<String>,
}

async fn come_back(
    State(callback): State<Callback>,
    peer: Option<Extension<Peer>>,
    back: Result<Query<Back>, QueryRejection>,
) -> Response {
    let Ok(Query(Back { state, code, error })) = back else {
        return page(StatusCode::BAD_REQUEST, "This is not the answer of an authorization server.");
    };
    let Callback { egress, routes, .. } = &callback;
    let pending = match egress.pending_authorization(&state).await {
        Ok(pending) => pending,
        Err(error) => return refused(&error),
    };
    let (tenant, name, by) = (pending.tenant.clone(), pending.connection.clone(), pending.by.clone());
    let from = peer.map(|Extension(Peer(address))| address);
    let who = format!("connection <b>{name}</b> of tenant <b>{tenant}</b>");
    let back = Return { tenant, name, by, from };
    let Return { tenant, name, by, .. } = &back;
    if error.is_some() || code.is_empty() {
        tracing::info!(tenant.id = %tenant, connection.name = %name, token.id = by, "an authorization of connection `{name}` was declined");
        callback.enter(&back, Outcome::Refused, "the other side declined").await;
        return page(StatusCode::OK, &format!("Nothing was authorized for {who}: the other side declined."));
    }
    let Some(connection) = routes.connection(tenant, name) else {
        return page(StatusCode::CONFLICT, &format!("There is no {who} any more."));
    };
    match egress.complete_authorization(&connection, pending, &code).await {
        Ok(()) => {
            tracing::info!(tenant.id = %tenant, connection.name = %name, token.id = by, "connection `{name}` was authorized");
            callback.enter(&back, Outcome::Done, "").await;
            page(StatusCode::OK, &format!("The {who} is authorized. You can close this page."))
        }
        Err(error) => {
            tracing::warn!(tenant.id = %tenant, connection.name = %name, token.id = by, %error, "connection `{name}` was not authorized: {error}");
            let outcome =
                if matches!(error, AuthorizeError::Host(_)) { Outcome::Failed } else { Outcome::Refused };
            callback.enter(&back, outcome, &error.to_string()).await;
            refused(&error)
        }
    }
}

fn refused(error: &AuthorizeError) -> Response {
    match error {
        AuthorizeError::Host(cause) => {
            tracing::error!(%cause, "an authorization failed");
            page(StatusCode::INTERNAL_SERVER_ERROR, "The host failed; its log says why.")
        }
        AuthorizeError::Refused(_) => page(
            StatusCode::BAD_GATEWAY,
            "The other side gave no token for this authorization: begin it anew. The host's log says why.",
        ),
        other => page(StatusCode::BAD_REQUEST, &escape(&other.to_string())),
    }
}
