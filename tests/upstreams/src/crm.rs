//! A CRM. Credential: `authorization: Bearer …`.
//!
//! `GET /me` tells whose token it is; `POST /leads` wants `email` and keeps
//! the rest as it is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::Credentials;
use crate::received::Credential;
use crate::system::{Gate, System, no, text};

pub(crate) fn gate(credentials: &Credentials) -> Gate {
    let want = format!("Bearer {}", credentials.crm_token);
    Arc::new(move |parts| {
        let got = parts.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        Credential::judge(got, &want)
    })
}

pub(crate) fn routes() -> Router<System> {
    Router::new()
        .route("/me", get(async || Json(json!({ "account": "Acme Sales", "plan": "demo" }))))
        .route("/leads", post(create_lead))
}

async fn create_lead(
    State(system): State<System>,
    headers: HeaderMap,
    Json(mut lead): Json<Map<String, Value>>,
) -> Response {
    if text(&lead, "email").is_none() {
        return no("`email` is missing", StatusCode::UNPROCESSABLE_ENTITY);
    }
    system.once(&headers, |number| {
        lead.insert("id".to_owned(), json!(format!("lead-{number}")));
        lead.insert("url".to_owned(), json!(format!("https://crm.example/leads/lead-{number}")));
        Value::Object(lead)
    })
}
