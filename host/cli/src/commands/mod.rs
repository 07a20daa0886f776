//! One file per command, and what they share: a [`Session`].

mod apply;
mod audit;
mod call;
mod connections;
mod consent;
mod dead_letters;
mod login;
mod packages;
mod repair;
mod resources;
mod run_workflow;
mod runs;
mod secrets;
mod step_test;
mod tenants;
mod tokens;
mod topics;
mod usage;

use host_model::name::TenantId;
use serde::{Deserialize, Serialize};

pub(crate) use self::login::LoginError;
use crate::api::Api;
use crate::args::{Command, Connections, Globals};
use crate::error::{CommandError, Exit};
use crate::profile::Target;
use crate::terminal::Terminal;

/// Does what was typed.
pub(crate) async fn run(
    command: Command,
    globals: Globals,
    terminal: &mut Terminal,
) -> Result<Exit, CommandError> {
    let target = Target::find(&globals)?;
    let session =
        &mut Session { api: Api::new(&target)?, tenant: target.tenant.clone(), json: globals.json, terminal };
    match command {
        Command::Apply { files, dry_run } => apply::run(session, &files, dry_run).await,
        Command::Check { files } => apply::check(session, &files).await,
        Command::Topics(topics) => topics::run(session, topics).await,
        Command::Get { kind, name: None } => resources::list(session, kind).await,
        Command::Get { kind, name: Some(name) } => resources::get(session, kind, &name).await,
        Command::Delete { kind, name } => resources::delete(session, kind, &name).await,
        Command::Call { connection, endpoint, data, report, .. } => match endpoint {
            Some(endpoint) => call::call(session, &connection, &endpoint, data.as_deref(), report).await,
            None => call::check(session, &connection, report).await,
        },
        Command::Connection(Connections::Authorize { name }) => connections::authorize(session, &name).await,
        Command::Consent(consent) => consent::run(session, consent).await,
        Command::Usage => usage::run(session).await,
        Command::Run { workflow, data, wait, no_wait, idempotency_key } => {
            let wait = (!no_wait).then_some(wait);
            run_workflow::run(session, &workflow, data.as_deref(), wait, idempotency_key).await
        }
        Command::Test(test) => step_test::run(session, test).await,
        Command::Runs(runs) => runs::run(session, runs).await,
        Command::Tenant(tenant) => tenants::run(session, tenant).await,
        Command::Login(login) => login::login(session, target, &globals, login).await,
        Command::Logout => login::logout(session, &globals).await,
        Command::Token(token) => tokens::run(session, token).await,
        Command::Secret(secret) => secrets::run(session, secret).await,
        Command::Audit(audit) => audit::run(session, audit).await,
        Command::Publish(publish) => packages::publish(session, &publish).await,
        Command::Packages => packages::list(session).await,
    }
}

/// One command's server, terminal and wishes.
struct Session<'t> {
    api: Api,
    tenant: Option<TenantId>,
    json: bool,
    terminal: &'t mut Terminal,
}

/// What became of one thing.
#[derive(Deserialize, Serialize)]
struct Done {
    kind: String,
    name: String,
    /// `created`, `updated`, `unchanged`, `pending` or `deleted`.
    action: String,
    /// What its author may want to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What it, or the change of it, waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits: Option<Waits>,
}

/// What waits for consent.
#[derive(Deserialize, Serialize)]
struct Waits {
    asks: Vec<String>,
    digest: String,
}

impl Done {
    /// One line, with this at its end, and what there is to know below it.
    fn told(&self, would: &str) -> String {
        let Self { kind, name, action, .. } = self;
        let mut lines = vec![format!("{kind} {name}: {action}{would}")];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(self.waits());
        lines.join("\n")
    }

    /// What it waits for, a line each.
    fn waits(&self) -> Vec<String> {
        let Some(Waits { asks, .. }) = &self.waits else { return Vec::new() };
        let Self { kind, name, .. } = self;
        let mut lines = vec![format!(
            "  waits until somebody consents (wharf consent {kind} {name}); it would be allowed to"
        )];
        lines.extend(asks.iter().map(|ask| format!("    - {ask}")));
        lines
    }
}

/// Whom a token speaks for.
#[derive(Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case")]
enum Whoami {
    Operator,
    Tenant { tenant: TenantId },
}

impl Session<'_> {
    /// The tenant that was named, else the token's own.
    async fn tenant_if_any(&self) -> Result<Option<TenantId>, CommandError> {
        if let Some(tenant) = &self.tenant {
            return Ok(Some(tenant.clone()));
        }
        let body = self.api.get("api/v1/whoami").value().await?;
        Ok(match self.api.read(&body)? {
            Whoami::Operator => None,
            Whoami::Tenant { tenant } => Some(tenant),
        })
    }

    /// The same where there must be one.
    async fn tenant(&self) -> Result<TenantId, CommandError> {
        self.tenant_if_any().await?.ok_or(CommandError::NoTenant)
    }

    /// Deletes what the path names.
    async fn delete(&mut self, path: &str) -> Result<Exit, CommandError> {
        let body = self.api.delete(path).value().await?;
        let done: Done = self.api.read(&body)?;
        self.show(&body, || done.told(""))
    }

    /// Shows an answer: as it came for a program, in words for a person.
    fn show(
        &mut self,
        answer: &impl Serialize,
        words: impl FnOnce() -> String,
    ) -> Result<Exit, CommandError> {
        let text = match self.json {
            true => serde_json::to_string_pretty(answer).map_err(std::io::Error::from)?,
            false => words(),
        };
        self.terminal.say(&text)?;
        Ok(Exit::Done)
    }
}
