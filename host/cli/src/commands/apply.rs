//! `wharf apply`: files in, what became of each document out.

use std::path::PathBuf;

use http::Method;
use serde::{Deserialize, Serialize};

use super::Session;
use crate::error::{CommandError, Exit};
use crate::input;

/// What became of one document.
#[derive(Deserialize, Serialize)]
struct Applied {
    kind: String,
    name: String,
    /// `created`, `changed` or `unchanged`.
    action: String,
}

pub(super) async fn run(
    session: &mut Session<'_>,
    files: &[PathBuf],
    dry_run: bool,
) -> Result<Exit, CommandError> {
    // The operator may apply tenants, which belong to none.
    let tenant = session.tenant_if_any().await?;
    let mut all = Vec::new();
    for file in files {
        let yaml = input::bytes(file, session.terminal)?;
        let mut query = vec![("file", file.display().to_string())];
        query.extend(tenant.iter().map(|tenant| ("tenant", tenant.to_string())));
        if dry_run {
            query.push(("dry-run", "true".to_owned()));
        }
        let ask = session.api.ask(Method::POST, "api/v1/apply", &query);
        let body = ask.body("application/yaml", yaml).value().await?;
        let applied: Vec<Applied> = session.api.read(&body)?;
        if !session.json {
            // At once: if a later file is refused, this one was still applied.
            for Applied { kind, name, action } in &applied {
                let would = if dry_run { " (dry run)" } else { "" };
                session.terminal.say(&format!("{kind} {name}: {action}{would}"))?;
            }
        }
        all.extend(applied);
    }
    if session.json { session.show(&all, String::new) } else { Ok(Exit::Done) }
}
