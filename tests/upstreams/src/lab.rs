//! A laboratory: answers that try the host's egress. It asks for no
//! credential, shows whatever came and keeps none of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::received::Credential;
use crate::system::{Gate, System, no};

/// What `/token` gives, to look for where it must not be.
pub const ACCESS_TOKEN: &str = "lab-access-token-3f9d77aa";
/// The same, to have a new one with.
pub const REFRESH_TOKEN: &str = "lab-refresh-token-b0c41e52";
/// The largest body that `/echo` reads back.
const MAX_ECHO: usize = 16 << 20;
/// What `/endless` and `/big` send at a time.
const CHUNK: usize = 64 << 10;

pub(crate) fn gate() -> Gate {
    Arc::new(|_| Credential::NotAsked)
}

pub(crate) fn routes() -> Router<System> {
    Router::new()
        .route("/echo", any(echo))
        .route("/redirect", any(redirect))
        .route("/slow", any(slow))
        .route("/endless", any(endless))
        .route("/big", any(big))
        .route("/token", post(token))
        .route(
            "/count",
            get(async |State(system): State<System>| Json(json!({ "count": system.received().len() }))),
        )
}

/// An authorization server that gives everybody the same tokens.
async fn token() -> Json<Value> {
    Json(json!({
        "access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "token_type": "Bearer", "expires_in": 3_600,
    }))
}

#[derive(Deserialize)]
struct Echo {
    /// Send the answer in pieces of this many bytes.
    chunk: Option<usize>,
}

/// Says back method, path, query, headers and body as JSON, and each header
/// once more as a header `x-echo-…`: a host that puts credentials into
/// requests must take them out of this.
async fn echo(Query(how): Query<Echo>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_ECHO).await else {
        return no("the body is too large or broke off", StatusCode::PAYLOAD_TOO_LARGE);
    };
    let mut headers = Map::new();
    for (name, value) in &parts.headers {
        headers.insert(name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())));
    }
    let told = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = match how.chunk {
        None => Json(told).into_response(),
        Some(size) => in_pieces(&told.to_string(), size.max(1)),
    };
    for (name, value) in &parts.headers {
        if let Ok(name) = HeaderName::try_from(format!("x-echo-{name}")) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

fn in_pieces(text: &str, size: usize) -> Response {
    let pieces: Vec<_> = text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
    // Each piece is flushed by itself: without a pause they would leave as one.
    let body = stream::iter(pieces).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(piece)
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response()
}

#[derive(Deserialize)]
struct To {
    to: String,
}

async fn redirect(Query(To { to }): Query<To>) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

#[derive(Deserialize)]
struct Slow {
    ms: u64,
}

async fn slow(Query(Slow { ms }): Query<Slow>) -> Json<Value> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Json(json!({ "waited_ms": ms }))
}

async fn endless() -> Response {
    let chunk = Bytes::from_static(&[b'x'; CHUNK]);
    let body = stream::repeat(chunk).map(Ok::<_, std::convert::Infallible>);
    Body::from_stream(body).into_response()
}

#[derive(Deserialize)]
struct Big {
    bytes: usize,
}

/// Exactly this many bytes, with their number in `content-length`.
async fn big(Query(Big { bytes }): Query<Big>) -> Response {
    let chunk = Bytes::from_static(&[b'x'; CHUNK]);
    let body = stream::unfold(bytes, move |left| {
        let piece = chunk.slice(..left.min(CHUNK));
        let rest = left.saturating_sub(CHUNK);
        futures::future::ready((left > 0).then_some((Ok::<_, std::convert::Infallible>(piece), rest)))
    });
    ([(header::CONTENT_LENGTH, bytes)], Body::from_stream(body)).into_response()
}
