//! What the systems have in common: each request is judged, perhaps broken,
//! answered and remembered, in that order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::faults::{Fault, Faults};
use crate::received::{Credential, Received};

/// The most bytes of a request's body: what a host under test may send at most.
const MAX_BODY: usize = 16 << 20;

/// Says what a request's credential is worth.
pub(crate) type Gate = Arc<dyn Fn(&Parts) -> Credential + Send + Sync>;

/// One system's memory and switches.
#[derive(Clone)]
pub(crate) struct System {
    name: &'static str,
    gate: Gate,
    memory: Arc<Mutex<Memory>>,
    arrivals: broadcast::Sender<Received>,
}

#[derive(Default)]
struct Memory {
    received: Vec<Received>,
    effects: Vec<Value>,
    faults: Faults,
    /// For each idempotency key: how many requests came with it, and which
    /// effect was its own. A benchmark sends a hundred thousand.
    keys: HashMap<String, Key>,
}

#[derive(Default)]
struct Key {
    requests: u32,
    effect: Option<usize>,
}

impl System {
    pub(crate) fn new(name: &'static str, gate: Gate, arrivals: broadcast::Sender<Received>) -> Self {
        Self { name, gate, memory: Arc::default(), arrivals }
    }

    /// The system's own routes, watched, beside `/received` and `/faults`.
    pub(crate) fn routes(&self, own: Router<Self>) -> Router {
        let switches = Router::new()
            .route("/received", get(async |State(system): State<Self>| Json(system.received())))
            .route("/faults", post(set_fault));
        own.fallback(async || no("no such thing", StatusCode::NOT_FOUND))
            .layer(from_fn_with_state(self.clone(), watch))
            .merge(switches)
            .with_state(self.clone())
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.memory().received.clone()
    }

    pub(crate) fn effects(&self) -> Vec<Value> {
        self.memory().effects.clone()
    }

    pub(crate) fn break_with(&self, fault: Fault) {
        self.memory().faults.set(fault);
    }

    /// Does something once per idempotency key. `make` gets the number of the
    /// effect, from 1. The answer is 201 for a new effect and 200 for a repetition.
    pub(crate) fn once(&self, headers: &HeaderMap, make: impl FnOnce(usize) -> Value) -> Response {
        let key = idempotency_key(headers);
        let mut memory = self.memory();
        let earlier = key.as_ref().and_then(|key| memory.keys.get(key)?.effect);
        if let Some(effect) = earlier.and_then(|at| memory.effects.get(at)) {
            return (StatusCode::OK, Json(effect.clone())).into_response();
        }
        let at = memory.effects.len();
        let value = make(at + 1);
        memory.effects.push(value.clone());
        if let Some(key) = key {
            memory.keys.entry(key).or_default().effect = Some(at);
        }
        (StatusCode::CREATED, Json(value)).into_response()
    }

    fn remember(&self, mut request: Received) {
        let mut memory = self.memory();
        if let Some(key) = &request.idempotency_key {
            let seen = memory.keys.entry(key.clone()).or_default();
            seen.requests += 1;
            request.count = seen.requests;
        }
        memory.received.push(request.clone());
        drop(memory);
        // Nobody need be listening.
        let _ = self.arrivals.send(request);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal in the way of such APIs.
pub(crate) fn no(message: &str, status: StatusCode) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// The text of a field that must be there and not empty.
pub(crate) fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    body.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("idempotency-key")?.to_str().ok()?.to_owned())
}

async fn set_fault(State(system): State<System>, Json(fault): Json<Fault>) -> StatusCode {
    system.break_with(fault);
    StatusCode::NO_CONTENT
}

async fn watch(State(system): State<System>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MAX_BODY).await else {
        return no("the body is too large or broke off", StatusCode::PAYLOAD_TOO_LARGE);
    };
    let credential = (system.gate)(&parts);
    let kept = (credential != Credential::NotAsked).then(|| serde_json::from_slice(&bytes).ok()).flatten();
    let mut seen = Received {
        system: system.name.to_owned(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        credential,
        idempotency_key: idempotency_key(&parts.headers),
        count: 0,
        body: kept,
        status: 0,
        fault: false,
    };

    let fault = system.memory().faults.take();
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    let broken = fault.as_ref().and_then(|fault| Some((fault, broken_answer(fault)?)));
    let response = match (broken, credential) {
        (Some((fault, answer)), _) if !fault.after_effect => {
            seen.fault = true;
            answer
        }
        (_, Credential::Wrong | Credential::Missing) => no("bad credential", StatusCode::UNAUTHORIZED),
        (broken, _) => {
            let answer = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            seen.fault = broken.is_some();
            broken.map_or(answer, |(_, lost)| lost)
        }
    };
    seen.status = response.status().as_u16();
    system.remember(seen);
    response
}

fn broken_answer(fault: &Fault) -> Option<Response> {
    let status = StatusCode::from_u16(fault.status?).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = no("an injected fault", status);
    if let Some(seconds) = fault.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Some(answer)
}
