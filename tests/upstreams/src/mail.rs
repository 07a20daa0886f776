//! A mail API. Credential: the query parameter `api_key`.
//!
//! `GET /domains` lists who may send; `POST /messages` wants `to` and `subject`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::Credentials;
use crate::received::Credential;
use crate::system::{Gate, System, no, text};

pub(crate) fn gate(credentials: &Credentials) -> Gate {
    let want = credentials.mail_key.clone();
    Arc::new(move |parts| {
        let query = parts.uri.query().unwrap_or_default();
        let got = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "api_key");
        Credential::judge(got.as_ref().map(|(_, value)| value.as_ref()), &want)
    })
}

pub(crate) fn routes() -> Router<System> {
    Router::new()
        .route("/domains", get(async || Json(json!({ "domains": ["acme.example"] }))))
        .route("/messages", post(send))
}

async fn send(
    State(system): State<System>,
    headers: HeaderMap,
    Json(mut message): Json<Map<String, Value>>,
) -> Response {
    if text(&message, "to").is_none_or(|to| !to.contains('@')) {
        return no("`to` is not an address", StatusCode::UNPROCESSABLE_ENTITY);
    }
    if text(&message, "subject").is_none() {
        return no("`subject` is missing", StatusCode::UNPROCESSABLE_ENTITY);
    }
    system.once(&headers, |number| {
        message.insert("id".to_owned(), json!(format!("message-{number}")));
        message.insert("status".to_owned(), json!("queued"));
        Value::Object(message)
    })
}
