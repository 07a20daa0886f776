//! Requests to a token endpoint (RFC 6749, 3.2): through the same two gates as
//! a guest's, bounded, and what their answers mean for a grant.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use form_urlencoded::byte_serialize;
use host_model::clock::Timestamp;
use host_model::manifest::ClientAuth;
use host_model::resource::{Connection, Oauth2};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::Deserialize;
use tokio::time::Instant;

use super::grant::{Grant, fingerprint};
use crate::body::{Outgoing, full_body};
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::gate::clear;
use crate::journey::explain;
use crate::policy::Policy;
use crate::pool::Pools;

/// How long a token endpoint may take, all in all. Far below a lease, so that
/// a refresh is over before another host may begin one.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer: tokens with many claims have some KiB.
const MAX_ANSWER: usize = 64 << 10;
/// The most bytes of a token: what goes into a header, with its prefix.
const MAX_TOKEN: usize = 8 << 10;
/// The longest life that is believed; longer ones overflow nothing then.
const MAX_LIFE_S: u64 = 10 * 365 * 24 * 3_600;

/// Why a token endpoint gave no token.
#[derive(Debug)]
pub(super) enum NoToken {
    /// Perhaps next time: network, overload, an answer that makes no sense.
    Transient(String),
    /// What was shown (a code, a refresh token) is worth nothing any more.
    Refused(String),
    /// The client is not known, or may not do this: somebody must change the set-up.
    Misconfigured(String),
    /// A gate refused: not granted, or closed.
    Gate(EgressError),
}

/// A good answer (RFC 6749, 5.1). Wiped when dropped.
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

/// Some servers write the number as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// A bad one (RFC 6749, 5.2). Its description is the server's own words, and so not passed on.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// The way to token endpoints.
pub(super) struct Endpoint {
    pub(super) policy: Arc<Policy>,
    pub(super) pools: Arc<Pools>,
}

impl Endpoint {
    /// Asks for tokens with these parameters.
    pub(super) async fn ask(
        &self,
        connection: &Connection,
        oauth: &Oauth2,
        client_secret: &str,
        parameters: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Grant, NoToken> {
        let (status, body) = self.post(connection, oauth, client_secret, parameters).await?;
        read(oauth, status, &body, now)
    }

    async fn post(
        &self,
        connection: &Connection,
        oauth: &Oauth2,
        client_secret: &str,
        parameters: &[(&str, &str)],
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), NoToken> {
        let request = request(oauth, client_secret, parameters)?;
        let exchange = Exchange::begin(request.method(), request.uri());
        let cleared = clear(connection, &self.policy, request, &exchange).map_err(NoToken::Gate)?;
        let deadline = Instant::now() + TIMEOUT;
        let request =
            cleared.request.map(|body| Outgoing::new(body, MAX_ANSWER as u64, deadline, exchange.clone()));
        let pool = self.pools.of(connection);
        let answered = async {
            let response = pool.client.request(request).await.map_err(|error| match explain(error) {
                denied @ EgressError::Denied(_) => NoToken::Gate(denied),
                other => NoToken::Transient(other.to_string()),
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|_| NoToken::Transient("its answer broke off or is too large".into()))?;
            Ok((status, Zeroizing::new(body.to_bytes().to_vec())))
        };
        let late = || Err(NoToken::Transient("it did not answer in time".to_owned()));
        tokio::time::timeout_at(deadline, answered).await.unwrap_or_else(|_| late())
    }
}

fn request(
    oauth: &Oauth2,
    client_secret: &str,
    parameters: &[(&str, &str)],
) -> Result<Request<crate::body::Body>, NoToken> {
    let Oauth2 { token_url, client_id, client_auth, .. } = oauth;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    let mut request = Request::post(token_url.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json");
    match client_auth {
        ClientAuth::Body => {
            form.append_pair("client_id", client_id).append_pair("client_secret", client_secret);
        }
        ClientAuth::Basic => {
            // Both parts are form-encoded first (RFC 6749, 2.3.1).
            let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Zeroizing::new(format!("{}:{}", part(client_id), part(client_secret)));
            let mut value = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
            value.insert_str(0, "Basic ");
            let value = HeaderValue::from_str(&value).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            request = request.header(AUTHORIZATION, value.map_err(|error| misconfigured(&error))?);
        }
    }
    request.body(full_body(form.finish())).map_err(|error| misconfigured(&error))
}

fn misconfigured(error: &dyn std::fmt::Display) -> NoToken {
    NoToken::Misconfigured(error.to_string())
}

/// What an answer means. In doubt it is transient: a grant is given up only on
/// the server's clear word.
fn read(oauth: &Oauth2, status: StatusCode, body: &[u8], now: Timestamp) -> Result<Grant, NoToken> {
    if status.is_success() {
        let tokens: Tokens = serde_json::from_slice(body)
            .map_err(|_| NoToken::Transient(format!("it answers {status} without a token")))?;
        return grant(oauth, tokens, now);
    }
    let failure = serde_json::from_slice::<Failure>(body);
    match (status, failure) {
        (
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
            Ok(Failure { error }),
        ) => match error.as_str() {
            "invalid_grant" => Err(NoToken::Refused("it answers `invalid_grant`".to_owned())),
            "invalid_client"
            | "unauthorized_client"
            | "invalid_scope"
            | "unsupported_grant_type"
            | "invalid_request"
            | "access_denied" => Err(NoToken::Misconfigured(format!("it answers `{error}`"))),
            _ => Err(NoToken::Transient(format!("it answers {status} with an error it made up"))),
        },
        _ => Err(NoToken::Transient(format!("it answers {status}"))),
    }
}

fn grant(oauth: &Oauth2, mut tokens: Tokens, now: Timestamp) -> Result<Grant, NoToken> {
    let fits = |token: &str| {
        (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !fits(&tokens.access_token) || !tokens.refresh_token.as_deref().is_none_or(fits) {
        return Err(NoToken::Transient("its token is empty, too long, or not of visible ASCII".to_owned()));
    }
    if !tokens.token_type.is_empty() && !tokens.token_type.eq_ignore_ascii_case("bearer") {
        return Err(NoToken::Misconfigured("its token is not a bearer token".to_owned()));
    }
    let life = match &tokens.expires_in {
        Some(Seconds::Number(seconds)) => Some(*seconds),
        Some(Seconds::Text(text)) => text.parse().ok(),
        None => None,
    };
    let life = life.and_then(|seconds| TimeDelta::try_seconds(seconds.min(MAX_LIFE_S).try_into().ok()?));
    Ok(Grant {
        of: fingerprint(oauth),
        access_token: std::mem::take(&mut tokens.access_token),
        refresh_token: tokens.refresh_token.take(),
        since: now,
        until: life.map(|life| now + life),
        refused: None,
    })
}
