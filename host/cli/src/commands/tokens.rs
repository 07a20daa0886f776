//! `wharf token`: who may come in.

use host_model::clock::Timestamp;
use host_model::id::TokenId;
use host_model::name::{ConnectionName, TenantId, WorkflowName};
use serde::Deserialize;
use serde_json::json;

use super::Session;
use crate::args::{Role, Token};
use crate::error::{CommandError, Exit};
use crate::table::table;

/// A token as it is shown once, when it is made.
#[derive(Deserialize)]
struct Created {
    id: TokenId,
    token: String,
}

/// A token as it is listed.
#[derive(Deserialize)]
struct Listed {
    id: TokenId,
    #[serde(default)]
    tenant: Option<TenantId>,
    role: String,
    #[serde(default)]
    note: String,
    #[serde(rename = "created-at")]
    created_at: Timestamp,
}

pub(super) async fn run(session: &mut Session<'_>, command: Token) -> Result<Exit, CommandError> {
    match command {
        Token::Create { role, workflow, connection, note } => {
            create(session, role, &workflow, &connection, &note).await
        }
        Token::List => list(session).await,
        Token::Delete { id } => session.delete(&format!("api/v1/tokens/{id}")).await,
    }
}

async fn create(
    session: &mut Session<'_>,
    role: Role,
    workflows: &[WorkflowName],
    connections: &[ConnectionName],
    note: &str,
) -> Result<Exit, CommandError> {
    let tenant = match role {
        Role::Operator => None,
        _ => Some(session.tenant_if_any().await?.ok_or(CommandError::NoScope)?),
    };
    let limited = role == Role::Service || !(workflows.is_empty() && connections.is_empty());
    let limits = limited.then(|| json!({ "workflows": workflows, "connections": connections }));
    let wish = json!({ "tenant": tenant, "role": role, "limits": limits, "note": note });
    let body = session.api.post("api/v1/tokens").json(&wish).value().await?;
    let created: Created = session.api.read(&body)?;
    if !session.json {
        // On the error stream, so that `$(wharf token create)` is the token alone.
        let whose = tenant.map_or("the operator".to_owned(), |tenant| format!("tenant {tenant}"));
        session.terminal.warn(&format!("{} for {whose}; its text is shown this once:", created.id))?;
    }
    session.show(&body, || created.token)
}

async fn list(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let body = session.api.list("api/v1/tokens").await?;
    let tokens: Vec<Listed> = session.api.read(&body)?;
    session.show(&body, || {
        let rows = tokens.iter().map(|token| {
            let tenant = token.tenant.as_ref().map_or("-".to_owned(), TenantId::to_string);
            let made = token.created_at.format("%Y-%m-%d %H:%M UTC").to_string();
            [token.id.to_string(), tenant, token.role.clone(), made, token.note.clone()]
        });
        table(["token", "tenant", "role", "made", "note"], &rows.collect::<Vec<_>>())
    })
}
