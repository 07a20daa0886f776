//! A chat. Credential: HTTP basic authentication (RFC 7617).
//!
//! `GET /account` tells whose it is; `POST /channels/{channel}/messages` wants `text`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::Credentials;
use crate::received::Credential;
use crate::system::{Gate, System, no, text};

pub(crate) fn gate(credentials: &Credentials) -> Gate {
    let pair = format!("{}:{}", credentials.chat_user, credentials.chat_password);
    let want = format!("Basic {}", STANDARD.encode(pair));
    Arc::new(move |parts| {
        let got = parts.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        Credential::judge(got, &want)
    })
}

pub(crate) fn routes() -> Router<System> {
    Router::new()
        .route("/account", get(async || Json(json!({ "workspace": "Acme", "bot": true }))))
        .route("/channels/{channel}/messages", post(say))
}

async fn say(
    State(system): State<System>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    Json(message): Json<Map<String, Value>>,
) -> Response {
    let Some(said) = text(&message, "text") else {
        return no("`text` is missing", StatusCode::UNPROCESSABLE_ENTITY);
    };
    system
        .once(&headers, |number| json!({ "id": format!("post-{number}"), "channel": channel, "text": said }))
}
