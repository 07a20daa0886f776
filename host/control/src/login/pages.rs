//! The four addresses of a login, in the order in which it passes them. They
//! take no token: a login is how somebody gets one.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use host_audit::{Act, Actor, Chain, Deed, Outcome};
use host_login::LoginError;
use host_model::digest::Digest;
use host_model::http_types::Peer;
use host_model::name::TenantId;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use subtle::ConstantTimeEq;

use super::back::{Back, to};
use super::grant::granted;
use super::{Begun, Offered, Ready};
use crate::Control;
use crate::api::MadeToken;
use crate::attempt::{LOGIN, request_id};
use crate::input::json;
use crate::page::{escape, page};
use crate::refusal::Refusal;
use crate::tokens::NewToken;

/// Where a browser begins.
const LOGIN_PATH: &str = "/login";
/// Where an issuer sends it back to; the issuer's name follows.
pub(super) const CALLBACK: &str = "/login/callback";
/// Bytes of a secret that nobody guesses.
const RANDOM: usize = 32;
/// The characters of a challenge: 32 bytes in base64 (RFC 7636, 4.2).
const CHALLENGE: usize = 43;
/// What a verifier may have (RFC 7636, 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// The addresses. All else below `/login` is absent.
pub fn router(control: Control) -> Router {
    Router::new()
        .route("/login/issuers", get(issuers))
        .route(LOGIN_PATH, get(begin))
        .route(&format!("{CALLBACK}/{{issuer}}"), get(come_back))
        .route("/login/token", post(token))
        .with_state(control)
}

/// Who asks, as far as that is known.
struct Asker(Option<IpAddr>);

impl FromRequestParts<Control> for Asker {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, control: &Control) -> Result<Self, Response> {
        let from = parts.extensions.get().map(|Peer(address)| *address);
        match control.tokens.held_back(from) {
            Some(wait) => Err(Refusal::TooManyFailures(wait).into_response()),
            None => Ok(Self(from)),
        }
    }
}

/// What a client needs to begin.
#[derive(Serialize)]
struct Issuers<'a> {
    /// Where to send the browser.
    login: String,
    /// By whom somebody may log in.
    issuers: Vec<&'a str>,
}

async fn issuers(State(control): State<Control>) -> Response {
    let logins = &control.logins;
    let issuers = logins.offered.iter().map(|offered| offered.issuer.name()).collect();
    Json(Issuers { login: format!("{}{LOGIN_PATH}", logins.public_url), issuers }).into_response()
}

/// What a client asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    issuer: Option<String>,
    tenant: Option<TenantId>,
    /// The SHA-256 of the client's verifier (RFC 7636, S256).
    challenge: String,
    redirect: String,
    state: String,
}

/// Sends a browser to the issuer, with a cookie by which it is known again.
async fn begin(
    State(control): State<Control>,
    Asker(from): Asker,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Response {
    let wrong = |why: &str| {
        let again = "run `wharf login` again, and tell whoever made this link if it was not that";
        page(StatusCode::BAD_REQUEST, &format!("Nobody can log in by this link: {}; {again}.", escape(why)))
    };
    let Ok(Query(Wish { issuer, tenant, challenge, redirect, state })) = wish else {
        return wrong("something is missing in it, or too much");
    };
    let logins = &control.logins;
    if challenge.len() != CHALLENGE || !challenge.bytes().all(is_base64) {
        return wrong("`challenge` is no SHA-256 in base64url");
    }
    let back = match Back::read(&redirect, &state, &logins.public_url) {
        Ok(back) => back,
        Err(why) => return wrong(why),
    };
    let (place, offered) = match logins.find(issuer.as_deref()) {
        Ok(found) => found,
        Err(why) => return back.refuse("invalid_request", &why),
    };
    let (begun, browser) =
        match (offered.issuer.begin(&logins.callback(offered.issuer.name())).await, secret()) {
            (Ok(begun), Ok(browser)) => (begun, browser),
            (Err(error), _) => return back.refuse("temporarily_unavailable", &error.to_string()),
            (_, Err(refusal)) => return refusal.into_response(),
        };
    let host_login::Begun { url, state, kept } = begun;
    let hash = Digest::of(browser.as_bytes());
    let begun = Begun { issuer: place, kept, browser: hash, back, challenge, tenant };
    logins.begun.put(&state, from, begun, control.tokens.now());
    let mut response = to(&url);
    let cookie = cookie(&logins.public_url, &browser, super::TIME.num_seconds());
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// What an issuer sends along (RFC 6749, 4.1.2; RFC 9207).
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    error: Option<String>,
    iss: Option<String>,
}

/// A browser is back: who is it, and what may they do?
async fn come_back(
    State(control): State<Control>,
    Asker(from): Asker,
    Path(named): Path<String>,
    headers: HeaderMap,
    answer: Result<Query<Answer>, QueryRejection>,
) -> Response {
    let Ok(Query(Answer { state, code, error, iss })) = answer else {
        return page(StatusCode::BAD_REQUEST, "This is not the answer of an issuer.");
    };
    let logins = &control.logins;
    let Some(begun) = logins.begun.take(&state, control.tokens.now()) else {
        refused(&control, from, Actor::Nobody, "", "no such login").await;
        let why = "This login is not known here: it was taken up already, or took longer than ten minutes. Log in again.";
        return page(StatusCode::BAD_REQUEST, why);
    };
    let Some(Offered { issuer, rules, lasts }) = logins.offered.get(begun.issuer) else {
        return page(StatusCode::BAD_REQUEST, "This issuer is not known here any more. Log in again.");
    };
    let Begun { kept, browser, back, challenge, tenant, .. } = begun;
    // Whoever made somebody open this link would have them work as another person.
    let shown = shown(&headers, &logins.public_url).map(|cookie| Digest::of(cookie.as_bytes()));
    if !shown.is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(browser.as_bytes()))) {
        refused(&control, from, Actor::Nobody, issuer.name(), "another browser").await;
        let why = "This login was begun in another browser. If you did not begin one, somebody wanted you to work as them; otherwise log in again.";
        return page(StatusCode::FORBIDDEN, why);
    }
    if named != issuer.name() || iss.is_some_and(|iss| iss != issuer.url()) {
        refused(&control, from, Actor::Nobody, issuer.name(), "another issuer").await;
        return back.refuse("access_denied", "the answer came from another issuer; log in again");
    }
    if let Some(error) = error {
        let error: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        let why = format!("the issuer `{}` did not let you in: it says `{error}`", issuer.name());
        return back.refuse("access_denied", &why);
    }
    let person = match issuer.finish(kept, &code).await {
        Ok(person) => person,
        Err(error @ LoginError::Unreachable { .. }) => {
            return back.refuse("temporarily_unavailable", &error.to_string());
        }
        Err(error) => {
            tracing::warn!(issuer = issuer.name(), %error, "a login was refused: {error}");
            refused(&control, from, Actor::Nobody, issuer.name(), &error.to_string()).await;
            return back.refuse("access_denied", &error.to_string());
        }
    };
    let exists = |tenant: &TenantId| control.catalog.tenant(tenant).is_some();
    let Some(scope) = granted(rules, &person.values, tenant.as_ref(), exists) else {
        let by = Actor::Person { subject: person.subject.clone(), name: person.name.clone() };
        refused(&control, from, by, issuer.name(), "no role").await;
        let place = tenant.map_or("on this host".to_owned(), |tenant| format!("in tenant `{tenant}`"));
        let why = format!(
            "you are {} ({}), and that gives you no role {place}: ask whoever runs this host to give one to a group of yours (`rules` under [[oidc]] `{}`)",
            person.name,
            person.subject,
            issuer.name()
        );
        return back.refuse("access_denied", &why);
    };
    let code = match secret() {
        Ok(code) => code,
        Err(refusal) => return refusal.into_response(),
    };
    let ready = Ready { person, scope, challenge, lasts: *lasts };
    logins.ready.put(&code, from, ready, control.tokens.now());
    let mut response = back.code(&code);
    let gone = cookie(&logins.public_url, "", 0);
    response.headers_mut().extend(gone.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// What a client shows for its token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    code: String,
    verifier: String,
}

/// The token, for the code and for whoever began.
async fn token(State(control): State<Control>, Asker(from): Asker, body: Body) -> Result<Response, Refusal> {
    let Exchange { code, verifier } = json(body).await?;
    let ready = control.logins.ready.take(&code, control.tokens.now());
    let hash = Digest::of(verifier.as_bytes());
    let shown = BASE64_URL_SAFE_NO_PAD.encode(hash.as_bytes());
    let ready = ready.filter(|Ready { challenge, scope, .. }| {
        VERIFIER.contains(&verifier.len())
            && bool::from(shown.as_bytes().ct_eq(challenge.as_bytes()))
            && scope.tenant().is_none_or(|tenant| control.catalog.tenant(tenant).is_some())
    });
    let Some(Ready { person, scope, lasts, .. }) = ready else {
        refused(&control, from, Actor::Nobody, "", "no such code, or not of this client").await;
        let why = "this code is unknown, was used, is too old, or is another client's: log in again";
        return Err(Refusal::Wrong(StatusCode::BAD_REQUEST, "bad-code", why.to_owned()));
    };
    let by = Actor::Person { subject: person.subject.clone(), name: person.name.clone() };
    let act = act(by, from)?;
    let wanted = NewToken { scope, note: person.name, subject: Some(person.subject), lasts: Some(lasts) };
    let (about, text) = control.tokens.create(wanted, &act).await?;
    tracing::info!(token.id = %about.id, subject = about.subject, role = about.scope.role_name(), "logged in");
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(MadeToken::new(about, &text))).into_response())
}

/// Counts a login that was none, and enters it.
async fn refused(control: &Control, from: Option<IpAddr>, by: Actor, issuer: &str, why: &str) {
    // Who is known and has no role does not guess at anything.
    if by == Actor::Nobody {
        control.tokens.failed(from);
    }
    let Ok(act) = act(by, from) else { return };
    let deed = Deed::new(Chain::Host, LOGIN, issuer).detail(why);
    // They are refused all the same.
    let told = control.audit.tell(&act, deed, Outcome::Refused).await;
    told.unwrap_or_else(|error| tracing::warn!(%error, "a refused login is not in the audit log"));
}

fn act(by: Actor, from: Option<IpAddr>) -> Result<Act, Refusal> {
    Ok(Act::new(by, from, request_id()?, LOGIN))
}

fn secret() -> Result<String, Refusal> {
    let mut secret = [0; RANDOM];
    getrandom::fill(&mut secret).map_err(|error| Refusal::Internal(error.into()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(secret))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The cookie's name. With the prefix a browser takes it from this host alone,
/// and over TLS alone; a host without TLS cannot have that.
fn cookie_name(public_url: &str) -> &'static str {
    if public_url.starts_with("https://") { "__Host-wharf-login" } else { "wharf-login" }
}

/// `Lax`: the issuer's redirect brings it along, what a page loads does not.
fn cookie(public_url: &str, value: &str, lasts: i64) -> Option<HeaderValue> {
    let name = cookie_name(public_url);
    let secure = if public_url.starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lasts}{secure}");
    HeaderValue::try_from(text).ok()
}

/// What the browser shows of it.
fn shown<'h>(headers: &'h HeaderMap, public_url: &str) -> Option<&'h str> {
    let name = cookie_name(public_url);
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
