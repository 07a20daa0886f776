//! What the sandbox is compared with: an axum handler that parses a lead,
//! renames its fields and serialises it again, as the probe `lead-transform` does.

use axum::Json;
use axum::Router;
use axum::routing::post;
use serde::{Deserialize, Serialize};

/// Reads the one spelling, writes the other.
#[derive(Deserialize, Serialize)]
struct Lead {
    #[serde(rename(deserialize = "full_name", serialize = "name"))]
    name: String,
    #[serde(rename(deserialize = "email_address", serialize = "email"))]
    email: String,
    #[serde(rename(deserialize = "phone_number", serialize = "phone"))]
    phone: Option<String>,
    #[serde(rename(deserialize = "organisation", serialize = "company"))]
    company: Option<String>,
    #[serde(rename(deserialize = "area", serialize = "region"))]
    region: String,
    #[serde(rename(deserialize = "comment", serialize = "message"))]
    message: String,
    #[serde(rename(deserialize = "campaign", serialize = "source"))]
    source: String,
}

async fn transform(Json(lead): Json<Lead>) -> Json<Lead> {
    Json(lead)
}

/// The child: listens on a free port, says which, serves until it is killed.
#[tokio::main]
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/lead", post(transform))).await?;
    Ok(())
}

/// A lead of about 1 KB.
pub(crate) fn lead() -> String {
    serde_json::json!({
        "full_name": "Ada Lovelace",
        "email_address": "ada@analytical.example",
        "phone_number": "+44 20 7946 0123",
        "organisation": "Analytical Engines Ltd",
        "area": "emea",
        "comment": "Do you ship to London? ".repeat(35),
        "campaign": "https://acme.example/contact",
    })
    .to_string()
}
