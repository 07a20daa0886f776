//! An issuer of logins (OpenID Connect): discovery, keys, a login page that
//! asks nothing, a token endpoint. It checks what an issuer checks, and errs in
//! each way that a test asks it to.

mod token;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use futures::{StreamExt as _, stream};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::token::Wrong;
use self::token::{Keys, sign};

/// Who the host under test is to the issuer.
pub const LOGIN_CLIENT: &str = "wharf-under-test";
/// What proves that.
pub const LOGIN_CLIENT_SECRET: &str = "oidc-client-secret-6c1f";

/// How an issuer answers, besides well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// Not at all: 503 to everything.
    Down,
    /// Discovery and tokens never end.
    Endless,
    /// Discovery and tokens are somewhere else.
    Elsewhere,
    /// It calls itself by another name.
    Impostor,
    /// The token endpoint's answer has no ID token.
    NoToken,
}

/// An issuer, up until this is dropped.
pub struct LoginIssuer {
    /// Where it listens.
    pub address: SocketAddr,
    desk: Desk,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Desk(Arc<Mutex<Memory>>);

struct Memory {
    url: String,
    mood: Mood,
    wrong: Option<Wrong>,
    keys: Keys,
    claims: Map<String, Value>,
    codes: HashMap<String, Asked>,
    key_requests: usize,
}

/// What a login was begun with.
struct Asked {
    nonce: String,
    challenge: String,
    redirect: String,
}

impl LoginIssuer {
    /// Starts one on a free port of loopback. Whoever logs in is Ada, of the group `staff`.
    pub async fn start() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let claims = json!({
            "sub": "ada-1", "email": "ada@corp.example", "email_verified": true, "groups": ["staff"],
        });
        let memory = Memory {
            url: format!("http://{address}"),
            mood: Mood::Well,
            wrong: None,
            keys: Keys::new(),
            claims: claims.as_object().cloned().unwrap_or_default(),
            codes: HashMap::new(),
            key_requests: 0,
        };
        let desk = Desk(Arc::new(Mutex::new(memory)));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(desk.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio_util::task::TaskTracker::new()
            .spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped).await });
        Ok(Self { address, desk, _stop: stop.drop_guard() })
    }

    /// How it calls itself.
    pub fn url(&self) -> String {
        self.desk.lock().url.clone()
    }

    /// Says one thing differently of whoever logs in from now on; `null` takes it away.
    pub fn says(&self, claim: &str, value: Value) {
        let mut memory = self.desk.lock();
        match value {
            Value::Null => drop(memory.claims.remove(claim)),
            value => drop(memory.claims.insert(claim.to_owned(), value)),
        }
    }

    /// Makes ID tokens wrong in this way from now on.
    pub fn errs(&self, wrong: Option<Wrong>) {
        self.desk.lock().wrong = wrong;
    }

    /// Answers in this way from now on.
    pub fn is(&self, mood: Mood) {
        self.desk.lock().mood = mood;
    }

    /// Signs with a new key from now on, and withdraws the old one.
    pub fn rotates(&self) {
        self.desk.lock().keys.rotate();
    }

    /// How often somebody asked for its keys.
    pub fn key_requests(&self) -> usize {
        self.desk.lock().key_requests
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a mood answers instead.
    fn moody(&self) -> Option<Response> {
        match self.lock().mood {
            Mood::Down => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
            Mood::Endless => {
                let chunk = Bytes::from_static(&[b' '; 64 << 10]);
                let body = stream::repeat(chunk).map(Ok::<_, std::convert::Infallible>);
                let json = [(header::CONTENT_TYPE, "application/json")];
                Some((json, Body::from_stream(body)).into_response())
            }
            Mood::Elsewhere => {
                Some((StatusCode::FOUND, [(header::LOCATION, "http://127.0.0.1:1/")]).into_response())
            }
            Mood::Well | Mood::Impostor | Mood::NoToken => None,
        }
    }
}

async fn discovery(State(desk): State<Desk>) -> Response {
    if let Some(moody) = desk.moody() {
        return moody;
    }
    let memory = desk.lock();
    let url = &memory.url;
    let issuer = if memory.mood == Mood::Impostor { "https://id.example.com" } else { url };
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "EdDSA", "HS256", "none"],
    }))
    .into_response()
}

async fn keys(State(desk): State<Desk>) -> Response {
    let mut memory = desk.lock();
    memory.key_requests += 1;
    Json(json!({ "keys": [memory.keys.public()] })).into_response()
}

/// A login page where everybody is let in at once.
async fn authorize(State(desk): State<Desk>, Query(asked): Query<HashMap<String, String>>) -> Response {
    let field = |name: &str| asked.get(name).cloned().unwrap_or_default();
    let right = field("client_id") == LOGIN_CLIENT
        && field("response_type") == "code"
        && field("code_challenge_method") == "S256"
        && field("scope").split(' ').any(|scope| scope == "openid")
        && !field("nonce").is_empty();
    if !right {
        return (StatusCode::BAD_REQUEST, format!("not a login: {asked:?}")).into_response();
    }
    let code = random();
    let (redirect, state) = (field("redirect_uri"), field("state"));
    let login =
        Asked { nonce: field("nonce"), challenge: field("code_challenge"), redirect: redirect.clone() };
    desk.lock().codes.insert(code.clone(), login);
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", &code), ("state", &state)])
        .finish();
    (StatusCode::FOUND, [(header::LOCATION, format!("{redirect}?{query}"))]).into_response()
}

async fn token(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(moody) = desk.moody() {
        return moody;
    }
    let no = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{LOGIN_CLIENT}:{LOGIN_CLIENT_SECRET}")));
    if headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) != Some(&basic) {
        return no("invalid_client");
    }
    let shown: HashMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| shown.get(name).map(String::as_str).unwrap_or_default();
    let mut memory = desk.lock();
    let Some(asked) = memory.codes.remove(field("code")) else { return no("invalid_grant") };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, field("code_verifier").as_bytes()));
    if challenge != asked.challenge || field("redirect_uri") != asked.redirect {
        return no("invalid_grant");
    }
    let token = (memory.mood != Mood::NoToken)
        .then(|| sign(&memory.keys, &memory.url, &asked.nonce, &memory.claims, memory.wrong));
    Json(json!({ "access_token": random(), "token_type": "Bearer", "expires_in": 300, "id_token": token }))
        .into_response()
}

fn random() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
