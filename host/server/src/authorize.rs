//! Authorizations of connections (OAuth 2): begun through the API, ended on a
//! page of this host to which the authorization server sends people back.
//!
//! The page is the only thing here that anybody may ask for without a token.
//! What it is asked with is a state that was given to whoever began, and a code
//! that is worth nothing without what is kept beside that state.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use host_control::ports::{Authorizations, Beginning, PortError};
use host_egress::{AuthorizeError, Egress};
use host_model::effects::BoxFuture;
use host_model::resource::Connection;
use host_routing::Routes;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

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

async fn come_back(State(callback): State<Callback>, back: Result<Query<Back>, QueryRejection>) -> Response {
    let Ok(Query(Back { state, code, error })) = back else {
        return page(StatusCode::BAD_REQUEST, "This is not the answer of an authorization server.");
    };
    let Callback { egress, routes } = callback;
    let pending = match egress.pending_authorization(&state).await {
        Ok(pending) => pending,
        Err(error) => return refused(&error),
    };
    let (tenant, name, by) = (pending.tenant.clone(), pending.connection.clone(), pending.by.clone());
    let who = format!("connection <b>{name}</b> of tenant <b>{tenant}</b>");
    if error.is_some() || code.is_empty() {
        tracing::info!(tenant.id = %tenant, connection.name = %name, token.id = by, "an authorization of connection `{name}` was declined");
        return page(StatusCode::OK, &format!("Nothing was authorized for {who}: the other side declined."));
    }
    let Some(connection) = routes.connection(&tenant, &name) else {
        return page(StatusCode::CONFLICT, &format!("There is no {who} any more."));
    };
    match egress.complete_authorization(&connection, pending, &code).await {
        Ok(()) => {
            tracing::info!(tenant.id = %tenant, connection.name = %name, token.id = by, "connection `{name}` was authorized");
            page(StatusCode::OK, &format!("The {who} is authorized. You can close this page."))
        }
        Err(error) => {
            tracing::warn!(tenant.id = %tenant, connection.name = %name, token.id = by, %error, "connection `{name}` was not authorized: {error}");
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

/// A page of one sentence: nothing on it is run, loaded, framed, kept or told on.
/// `sentence` is HTML; names in it have letters, digits and dashes only.
fn page(status: StatusCode, sentence: &str) -> Response {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Wharf</title><p>{sentence}</p></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
