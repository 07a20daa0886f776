//! `wharf token`: who may come in.

use host_model::clock::Timestamp;
use host_model::id::TokenId;
use host_model::name::TenantId;
use serde::Deserialize;
use serde_json::{Value, json};

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
    /// Of a login: who logged in.
    #[serde(default)]
    subject: Option<String>,
    #[serde(rename = "created-at")]
    created_at: Timestamp,
    #[serde(default, rename = "expires-at")]
    expires_at: Option<Timestamp>,
    #[serde(default, rename = "last-used-at")]
    last_used_at: Option<Timestamp>,
}

pub(super) async fn run(session: &mut Session<'_>, command: Token) -> Result<Exit, CommandError> {
    match command {
        Token::Create { role, workflow, connection, expires_in, note } => {
            let limited = role == Role::Service || !(workflow.is_empty() && connection.is_empty());
            let limits = limited.then(|| json!({ "workflows": workflow, "connections": connection }));
            create(session, role, json!({ "limits": limits, "expires-in-s": expires_in, "note": note })).await
        }
        Token::Rotate { id, overlap } => {
            let path = format!("api/v1/tokens/{id}/rotate");
            let body = session.api.post(&path).json(&json!({ "overlap-s": overlap })).value().await?;
            shown_once(session, &body, "")
        }
        Token::List => list(session).await,
        Token::Delete { id } => session.delete(&format!("api/v1/tokens/{id}")).await,
    }
}

async fn create(session: &mut Session<'_>, role: Role, mut wish: Value) -> Result<Exit, CommandError> {
    let tenant = match role {
        Role::Operator => None,
        _ => Some(session.tenant_if_any().await?.ok_or(CommandError::NoScope)?),
    };
    if let Value::Object(wish) = &mut wish {
        wish.extend([("tenant".to_owned(), json!(tenant)), ("role".to_owned(), json!(role))]);
    }
    let body = session.api.post("api/v1/tokens").json(&wish).value().await?;
    let whose = tenant.map_or(" for the operator".to_owned(), |tenant| format!(" for tenant {tenant}"));
    shown_once(session, &body, &whose)
}

fn shown_once(session: &mut Session<'_>, body: &Value, whose: &str) -> Result<Exit, CommandError> {
    let created: Created = session.api.read(body)?;
    if !session.json {
        // On the error stream, so that `$(wharf token create)` is the token alone.
        session.terminal.warn(&format!("{}{whose}; its text is shown this once:", created.id))?;
    }
    session.show(body, || created.token)
}

async fn list(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let body = session.api.list("api/v1/tokens").await?;
    let tokens: Vec<Listed> = session.api.read(&body)?;
    session.show(&body, || {
        let rows = tokens.iter().map(|token| {
            let tenant = token.tenant.as_ref().map_or("-".to_owned(), TenantId::to_string);
            let [made, used, ends] = [Some(token.created_at), token.last_used_at, token.expires_at]
                .map(|at| at.map_or("-".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string()));
            let note = match &token.subject {
                Some(subject) => format!("{} ({subject})", token.note),
                None => token.note.clone(),
            };
            [token.id.to_string(), tenant, token.role.clone(), made, used, ends, note]
        });
        table(["token", "tenant", "role", "made", "last used", "ends", "note"], &rows.collect::<Vec<_>>())
    })
}
