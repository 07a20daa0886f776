//! Apply: a file of resources, made so as a whole.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_model::name::TenantId;
use host_model::resource::Resource;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Control;
use crate::access::{May, Scope, power};
use crate::catalog::{Done, Edit, EditError, Objection};
use crate::documents::{Document, Files, MAX_FILE, Mistake, Mistakes, parse_all};
use crate::input::{Params, whole};
use crate::refusal::Refusal;

/// The longest file name that is repeated in a message.
const MAX_FILE_NAME: usize = 200;

/// How to apply.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Whose resources they are; the token's own tenant if left out.
    tenant: Option<String>,
    /// What messages call the file.
    file: Option<String>,
    /// Which files the body is made of, as JSON: `[["lead.yaml", 0], ["crm.yaml", 12]]`,
    /// each with the number of lines before it.
    parts: Option<String>,
    /// Only say what would become of each.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    dry_run: bool,
}

/// Applies a YAML file of several documents, all or nothing and in any order.
#[utoipa::path(post, path = "/apply", tag = "apply", params(How),
    request_body(content = String, content_type = "application/yaml", description = "At most 1 MiB and 1,000 documents"),
    responses((status = 200, body = [Done])))]
pub(super) async fn apply(
    may: May<power::Change>,
    State(control): State<Control>,
    Params(how): Params<How>,
    body: Body,
) -> Result<Json<Vec<Done>>, Refusal> {
    let by = may.caller.clone();
    let tenant = whose(&control, may, how.tenant.as_deref())?;
    let file = file_name(how.file.as_deref());
    let files = Files::new(&file, parts(how.parts.as_deref())?);
    let (documents, unread) = documents(&file, files, whole(body, MAX_FILE).await?.to_vec()).await?;
    if !by.is_operator()
        && let Some(mistakes) = tenants_in(&documents)
    {
        let detail = Mistakes { file, mistakes }.to_string();
        return Err(Refusal::Wrong(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let edit = |document: &Document| Edit::Put(tenant.clone(), Box::new(document.resource.clone()));
    let edits: Vec<_> = documents.iter().map(edit).collect();
    if !unread.is_empty() {
        // Nothing is applied; the steps of the other documents can still be looked at.
        let mut mistakes = unread;
        mistakes.extend(as_mistakes(control.catalog.check_texts(edits, false).await?.objections, &documents));
        return Err(refused(file, mistakes));
    }
    match control.catalog.edit(&by.author(&control), edits, how.dry_run, &by.act).await {
        Ok(done) => {
            let changed = done.len();
            tracing::info!(token.id = %by.id(), tenant.id = ?tenant, changed, dry_run = how.dry_run, "applied {file}");
            Ok(Json(done))
        }
        Err(EditError::Objections(objections)) => Err(refused(file, as_mistakes(objections, &documents))),
        Err(other) => Err(other.into()),
    }
}

fn as_mistakes(objections: Vec<Objection>, documents: &[Document]) -> Vec<Mistake> {
    let line = |objection: &Objection| {
        let document = objection.edit.and_then(|place| documents.get(place));
        objection.line.or(document.map(|document| document.line))
    };
    let mistake = |it: Objection| Mistake { line: line(&it), column: it.column, message: it.message };
    objections.into_iter().map(mistake).collect()
}

fn refused(file: String, mut mistakes: Vec<Mistake>) -> Refusal {
    mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(u64::MAX));
    Refusal::invalid(Mistakes { file, mistakes }.to_string())
}

fn parts(parts: Option<&str>) -> Result<Vec<(String, u64)>, Refusal> {
    let Some(parts) = parts else { return Ok(Vec::new()) };
    let mut parts: Vec<(String, u64)> = serde_json::from_str(parts).map_err(|error| {
        Refusal::bad_request(format!("`parts` is not `[[\"file\", lines before], ...]`: {error}"))
    })?;
    for (name, _) in &mut parts {
        *name = file_name(Some(name));
    }
    Ok(parts)
}

/// The tenant that is meant. The operator's may be made by the file itself.
fn whose(
    control: &Control,
    may: May<power::Change>,
    named: Option<&str>,
) -> Result<Option<TenantId>, Refusal> {
    match (named, &may.caller.token.scope) {
        (Some(name), Scope::Operator) => name.parse().map(Some).map_err(|_| Refusal::Absent),
        (Some(name), Scope::Tenant { .. }) => Ok(Some(may.tenant(control, name)?.id)),
        (None, Scope::Tenant { tenant, .. }) => Ok(Some(tenant.clone())),
        (None, Scope::Operator) => Ok(None),
    }
}

async fn documents(
    file: &str,
    files: Files,
    bytes: Vec<u8>,
) -> Result<(Vec<Document>, Vec<Mistake>), Refusal> {
    let text = String::from_utf8(bytes).map_err(|_| Refusal::bad_request(format!("{file} is not UTF-8")))?;
    // Milliseconds for the largest file, which is too long between two awaits.
    let parsed = tokio::task::spawn_blocking(move || parse_all(&text, &files)).await;
    parsed.map_err(|error| Refusal::Internal(error.into()))
}

fn tenants_in(documents: &[Document]) -> Option<Vec<Mistake>> {
    let message = "`kind: tenant` takes an operator's token";
    let tenants = documents.iter().filter(|document| matches!(document.resource, Resource::Tenant(_)));
    let mistakes: Vec<_> = tenants
        .map(|document| Mistake { line: Some(document.line), column: None, message: message.to_owned() })
        .collect();
    (!mistakes.is_empty()).then_some(mistakes)
}

fn file_name(file: Option<&str>) -> String {
    let name = file.unwrap_or("the file").chars().filter(|letter| !letter.is_control());
    name.take(MAX_FILE_NAME).collect()
}
