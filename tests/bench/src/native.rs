//! What the sandbox is compared with: an axum handler that parses a lead,
//! renames its fields and serialises it again, as the probe `lead-transform` does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use axum::Json;
use axum::Router;
use axum::routing::post;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Lead {
    name: String,
    email: String,
    phone: Option<String>,
    company: Option<String>,
    region: String,
    message: String,
    source: String,
}

#[derive(Serialize)]
struct Contact {
    full_name: String,
    email_address: String,
    phone_number: Option<String>,
    organisation: Option<String>,
    territory: String,
    note: String,
    origin: String,
}

async fn transform(Json(lead): Json<Lead>) -> Json<Contact> {
    Json(Contact {
        full_name: lead.name,
        email_address: lead.email,
        phone_number: lead.phone,
        organisation: lead.company,
        territory: lead.region,
        note: lead.message,
        origin: lead.source,
    })
}

/// The child: listens on a free port, says which, serves until it is killed.
#[tokio::main]
pub(crate) async fn serve() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/lead", post(transform))).await?;
    Ok(())
}

/// [`serve`] in a process of its own, which ends with its owner.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut child =
            Command::new(std::env::current_exe()?).arg("native").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse()? })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A lead of about 1 KB.
pub(crate) fn lead() -> String {
    serde_json::json!({
        "name": "Ada Lovelace",
        "email": "ada@analytical.example",
        "phone": "+44 20 7946 0123",
        "company": "Analytical Engines Ltd",
        "region": "emea",
        "message": "Do you ship to London? ".repeat(35),
        "source": "https://acme.example/contact",
    })
    .to_string()
}
