//! `wharf consent`: shows what waits, asks, and consents to exactly that.

use host_model::name::{ConnectionName, WorkflowName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, Session};
use crate::args::{Consent, Consents};
use crate::error::{CommandError, Exit};

/// A change that waits.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pending {
    by: String,
    since: String,
    #[serde(default)]
    asks: Vec<String>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    error: Option<String>,
    document: Document,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    package: String,
}

/// What is looked at, as far as it matters here.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    package: String,
    #[serde(default)]
    pending: Option<Pending>,
}

pub(super) async fn run(session: &mut Session<'_>, consent: Consent) -> Result<Exit, CommandError> {
    let Consent { kind, name, yes, withdraw } = consent;
    // Parsed, because a name is a segment of a path from here on.
    let (word, plural) = match kind {
        Consents::Connection => (name.parse::<ConnectionName>().map(|_| "connection")?, "connections"),
        Consents::Workflow => (name.parse::<WorkflowName>().map(|_| "workflow")?, "workflows"),
    };
    let at = format!("api/v1/tenants/{}/{plural}/{name}", session.tenant().await?);
    if withdraw {
        return session.delete(&format!("{at}/consent")).await;
    }
    if let Some(digest) = yes {
        return give(session, &at, &digest.to_string()).await;
    }
    let body = session.api.get(&at).value().await?;
    let Shown { package, pending } = session.api.read(&body)?;
    let what = format!("{word} {name}");
    let Some(pending) = pending else {
        return session.show(&Value::Null, || format!("nothing of {what} waits for consent"));
    };
    session.show(&body.get("pending"), || told(&what, &package, &pending))?;
    let Some(digest) = pending.digest else { return Ok(Exit::Failed) };
    match if session.json { None } else { session.terminal.ask("Consent to this?")? } {
        Some(true) => give(session, &at, &digest).await,
        Some(false) => {
            session.terminal.warn("nothing was consented to")?;
            Ok(Exit::Failed)
        }
        None => {
            session.terminal.warn(&format!("to consent to this: wharf consent {what} --yes {digest}"))?;
            Ok(Exit::Failed)
        }
    }
}

fn told(what: &str, package: &str, pending: &Pending) -> String {
    let Pending { by, since, asks, error, document, .. } = pending;
    let mut lines = vec![format!("{what}: a change by {by} waits since {since}")];
    if document.package != package {
        lines.push(format!("  from {package} to {}", document.package));
    }
    match (error, asks.as_slice()) {
        (Some(error), _) => lines.push(format!("  nobody can consent to it: {error}")),
        (None, []) => lines.push("  it would be allowed nothing more".to_owned()),
        (None, asks) => {
            lines.push("  it would be allowed to".to_owned());
            lines.extend(asks.iter().map(|ask| format!("    - {ask}")));
        }
    }
    lines.join("\n")
}

async fn give(session: &mut Session<'_>, at: &str, digest: &str) -> Result<Exit, CommandError> {
    let ask = session.api.post(&format!("{at}/consent")).json(&json!({ "digest": digest }));
    let body = ask.value().await?;
    let done: Done = session.api.read(&body)?;
    session.show(&body, || done.told(""))
}
