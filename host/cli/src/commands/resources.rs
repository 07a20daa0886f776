//! `wharf get` and `wharf delete`: what was applied, by kind.

use host_model::name::{ConnectionName, ScheduleName, SchemaRef, TenantId, WorkflowName};
use serde_json::Value;

use super::Session;
use crate::args::Kind;
use crate::error::{CommandError, Exit};
use crate::table::table;

impl Kind {
    /// Also its segment in a path.
    fn plural(self) -> &'static str {
        match self {
            Self::Tenant => "tenants",
            Self::Connection => "connections",
            Self::Workflow => "workflows",
            Self::Schedule => "schedules",
            Self::Schema => "schemas",
        }
    }

    /// The word for one.
    fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }

    /// What a list shows of each: fields of it.
    fn columns(self) -> [&'static str; 3] {
        match self {
            Self::Tenant => ["name", "concurrency", ""],
            Self::Connection | Self::Workflow => ["name", "package", ""],
            Self::Schedule => ["name", "cron", "workflow"],
            Self::Schema => ["name", "version", ""],
        }
    }
}

pub(super) async fn list(session: &mut Session<'_>, kind: Kind) -> Result<Exit, CommandError> {
    let path = folder(session, kind).await?;
    let body = session.api.list(&path).await?;
    let items: Vec<Value> = session.api.read(&body)?;
    session.show(&body, || listed(kind, &items))
}

pub(super) async fn get(session: &mut Session<'_>, kind: Kind, name: &str) -> Result<Exit, CommandError> {
    let path = path(session, kind, name).await?;
    let body = session.api.get(&path).value().await?;
    // As YAML it can be edited and applied again; what is wrong with it is not part of it.
    let mut written = body.clone();
    let mut told = |field: &str| written.as_object_mut().and_then(|fields| fields.remove(field));
    let (error, warnings, pending) = (told("error"), told("warnings"), told("pending"));
    let unauthorized = told("needs-authorization");
    let yaml = match written.pointer("/source/text").and_then(Value::as_str) {
        Some(text) => text.trim_start_matches('\n').to_owned(), // as somebody wrote it, comments and all
        None => serde_saphyr::to_string(&written).map_err(std::io::Error::other)?,
    };
    if let (Some(error), false) = (error.as_ref().and_then(Value::as_str), session.json) {
        session.terminal.warn(&format!("it cannot be used: {error}"))?;
    }
    for warning in texts(warnings.as_ref()).filter(|_| !session.json) {
        session.terminal.warn(warning)?;
    }
    if let (Some(why), false) = (unauthorized.as_ref().and_then(Value::as_str), session.json) {
        session.terminal.warn(&format!("somebody must authorize it: {why}"))?;
    }
    if let (Some(_), false) = (pending, session.json) {
        let look = format!("wharf consent {} {name}", kind.singular());
        session.terminal.warn(&format!("a change of it waits for consent; to look at it: {look}"))?;
    }
    session.show(&body, || yaml.trim_end().to_owned())
}

pub(super) async fn delete(session: &mut Session<'_>, kind: Kind, name: &str) -> Result<Exit, CommandError> {
    let path = path(session, kind, name).await?;
    session.delete(&path).await
}

async fn folder(session: &Session<'_>, kind: Kind) -> Result<String, CommandError> {
    Ok(match kind {
        Kind::Tenant => "api/v1/tenants".to_owned(),
        _ => format!("api/v1/tenants/{}/{}", session.tenant().await?, kind.plural()),
    })
}

async fn path(session: &Session<'_>, kind: Kind, name: &str) -> Result<String, CommandError> {
    // Parsed, because a name is a segment of a path from here on.
    match kind {
        Kind::Tenant => drop(name.parse::<TenantId>()?),
        Kind::Connection => drop(name.parse::<ConnectionName>()?),
        Kind::Workflow => drop(name.parse::<WorkflowName>()?),
        Kind::Schedule => drop(name.parse::<ScheduleName>()?),
        Kind::Schema => drop(name.parse::<SchemaRef>()?),
    }
    Ok(format!("{}/{name}", folder(session, kind).await?))
}

/// A list of texts.
fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn listed(kind: Kind, items: &[Value]) -> String {
    if items.is_empty() {
        return format!("no {} yet", kind.plural());
    }
    let cell = |item: &Value, name: &str| match item.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let [first, second, third] = kind.columns();
    // A column only if there is something in it.
    let if_any =
        |name: &'static str| if items.iter().any(|item| item.get(name).is_some()) { name } else { "" };
    let columns = [first, second, third, if_any("pending"), if_any("error"), if_any("warnings")];
    let row = |item: &Value| {
        columns.map(|name| match name {
            "pending" => item.get(name).map_or("", |_| "waits").to_owned(),
            "warnings" => texts(item.get(name)).collect::<Vec<_>>().join("; "),
            name => cell(item, name),
        })
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    table(columns, &rows)
}
