//! What connections, workflows and schedules have in common.

use std::fmt::Display;
use std::ops::Bound::{Excluded, Unbounded};

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use host_model::name::ConnectionName;
use host_model::resource::{ConnectionSpec, Resource, Source, WorkflowSpec};
use http::header::LINK;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::Control;
use crate::access::{Caller, InTenant, power};
use crate::catalog::{Action, Done, Edit, EditError, Kept, Pending, Tenanted};
use crate::documents::{Files, parse_all};
use crate::input::{Page, json};
use crate::refusal::Refusal;

/// Something that is gone now.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    kind: &'static str,
    name: String,
    /// `deleted`.
    action: &'static str,
}

impl Deleted {
    pub(super) fn new(kind: &'static str, name: &impl Display) -> Self {
        Self { kind, name: name.to_string(), action: "deleted" }
    }
}

/// A page as a JSON array; a full one says in its `Link` header where the next is.
pub(super) fn paged<T: Serialize>(items: Vec<T>, limit: usize, last: Option<String>) -> Response {
    let last = last.filter(|_| items.len() >= limit);
    let after = |last: String| url::form_urlencoded::byte_serialize(last.as_bytes()).collect::<String>();
    linked(items, last.map(|last| format!("after={}&limit={limit}", after(last))))
}

/// A page as a JSON array; if there is a next one, its query is in the `Link` header.
pub(super) fn linked<T: Serialize>(items: Vec<T>, next: Option<String>) -> Response {
    let mut response = Json(items).into_response();
    let next = next.and_then(|next| HeaderValue::try_from(format!("<?{next}>; rel=\"next\"")).ok());
    response.headers_mut().extend(next.map(|next| (LINK, next)));
    response
}

pub(super) fn list<T: Tenanted>(tenant: &InTenant<power::See>, page: &Page) -> Result<Response, Refusal> {
    let after = page.after::<T::Name>()?;
    let from = after.as_ref().map_or(Unbounded, Excluded);
    let all = T::of(&tenant.tenant.written);
    let items: Vec<_> = all
        .range((from, Unbounded))
        .take(page.limit())
        .map(|(name, kept)| (name.to_string(), kept))
        .collect();
    let last = items.last().map(|(name, _)| name.clone());
    let shown = items.into_iter().map(|(name, kept)| show(tenant, &name, kept)).collect();
    Ok(paged::<Value>(shown, page.limit(), last))
}

pub(super) fn get<T: Tenanted>(
    tenant: &InTenant<power::See>,
    name: &T::Name,
) -> Result<Json<Value>, Refusal> {
    let kept = T::of(&tenant.tenant.written).get(name).ok_or(Refusal::Absent)?;
    Ok(Json(show(tenant, &name.to_string(), kept)))
}

pub(super) async fn put<T: Tenanted>(
    control: &Control,
    tenant: InTenant<power::Change>,
    name: T::Name,
    body: Body,
) -> Result<Response, Refusal> {
    let spec: T = without_kind(body, T::KIND).await?;
    if *spec.name() != name {
        return Err(Refusal::invalid(format!(
            "the body's name is `{}`, the path's is `{name}`",
            spec.name()
        )));
    }
    let edit = Edit::Put(Some(tenant.id.clone()), Box::new(spec.into_resource()));
    let done = change(control, &tenant.caller, Some(&tenant.id), edit).await?;
    Ok(put_answer(done))
}

pub(super) async fn delete<T: Tenanted>(
    control: &Control,
    tenant: InTenant<power::Change>,
    name: T::Name,
) -> Result<Json<Deleted>, Refusal> {
    let edit = Edit::Delete(tenant.id.clone(), (T::KIND, name.to_string()));
    change(control, &tenant.caller, Some(&tenant.id), edit).await?;
    Ok(Json(Deleted::new(T::KIND, &name)))
}

/// A body as GET gives it: the spec, and perhaps its `kind`.
pub(super) async fn without_kind<T: serde::de::DeserializeOwned>(
    body: Body,
    kind: &str,
) -> Result<T, Refusal> {
    let mut fields: Map<String, Value> = json(body).await?;
    match fields.remove("kind") {
        Some(said) if said != kind => {
            return Err(Refusal::invalid(format!("this takes `kind: {kind}`, not {said}")));
        }
        _ => {}
    }
    // What GET adds to one that cannot be used, or not without care.
    for told in ["error", "warnings", "pending", "needs-authorization"] {
        fields.remove(told);
    }
    if kind == WorkflowSpec::KIND && (fields.contains_key("steps") || fields.contains_key("source")) {
        fields = written(fields)?;
    }
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| Refusal::invalid(host_model::suggest::explain_unknown(&error.to_string())))
}

/// A workflow with steps is what its text says: the `source` that GET gave, or
/// else the body itself, for JSON is YAML.
fn written(mut fields: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let (text, files, before) = match fields.get("source").cloned() {
        Some(source) => {
            let source: Source = serde_json::from_value(source)
                .map_err(|error| Refusal::invalid(format!("source: {error}")))?;
            (source.text, Files::new(&source.file, Vec::new()), source.before)
        }
        None => {
            let file = format!("{}.json", fields.get("name").and_then(Value::as_str).unwrap_or("workflow"));
            fields.insert("kind".to_owned(), WorkflowSpec::KIND.into());
            let text = serde_json::to_string_pretty(&fields);
            (text.map_err(|error| Refusal::Internal(error.into()))?, Files::new(&file, Vec::new()), 0)
        }
    };
    let (mut documents, mistakes) = parse_all(&text, &files);
    match (documents.pop().map(|document| document.resource), mistakes.into_iter().next()) {
        (_, Some(mistake)) => Err(Refusal::invalid(mistake.message)),
        (Some(Resource::Workflow(mut spec)), None) if documents.is_empty() => {
            if let Some(source) = &mut spec.source {
                source.before = before;
            }
            match serde_json::to_value(spec) {
                Ok(Value::Object(fields)) => Ok(fields),
                _ => Err(Refusal::invalid("the source is not one workflow")),
            }
        }
        _ => Err(Refusal::invalid("the source is not one workflow")),
    }
}

/// Makes one change, and says in the log who did.
pub(super) async fn change(
    control: &Control,
    by: &Caller,
    tenant: Option<&host_model::name::TenantId>,
    edit: Edit,
) -> Result<Vec<Done>, Refusal> {
    let deletes = matches!(edit, Edit::Delete(..) | Edit::DeleteTenant(_));
    let done = control.catalog.edit(&by.author(control), vec![edit], false, &by.act).await;
    let done = done.map_err(|error| match error {
        EditError::Objections(_) if deletes => match Refusal::from(error) {
            Refusal::Wrong(_, _, detail) => Refusal::Wrong(StatusCode::CONFLICT, "in-use", detail),
            other => other,
        },
        other => other.into(),
    })?;
    let owner = tenant.map(ToString::to_string);
    for Done { kind, name, action, .. } in &done {
        tracing::info!(token.id = %by.id(), tenant.id = owner, kind, name, ?action, "{kind} `{name}`: {action:?}");
    }
    Ok(done)
}

pub(super) fn put_answer(done: Vec<Done>) -> Response {
    let created = done.iter().any(|done| done.action == Action::Created);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    (status, Json(done.into_iter().next())).into_response()
}

/// A resource as it was written, with its kind, and with what is wrong with it
/// or to be careful about, if anything is.
fn show<T: Tenanted>(tenant: &InTenant<power::See>, name: &str, kept: &Kept<T>) -> Value {
    let mut shown = json!({ "kind": T::KIND, "name": name });
    let spec = kept.as_ref().ok().and_then(|spec| serde_json::to_value(spec).ok());
    if let (Value::Object(shown), Some(Value::Object(spec))) = (&mut shown, spec) {
        shown.extend(spec);
    }
    let error = tenant.tenant.resolved.errors.get(&(T::KIND, name.to_owned()));
    if let (Value::Object(shown), Some(error)) = (&mut shown, error) {
        shown.insert("error".to_owned(), Value::String(error.clone()));
    }
    let connections = &tenant.tenant.resolved.connections;
    let connection: Option<ConnectionName> = name.parse().ok().filter(|_| T::KIND == ConnectionSpec::KIND);
    let warnings = connection.and_then(|name| connections.get(&name)).map(|it| it.warnings());
    if let (Value::Object(shown), Some(warnings @ [_, ..])) = (&mut shown, warnings.as_deref()) {
        shown.insert("warnings".to_owned(), json!(warnings));
    }
    if let (Value::Object(shown), Some(pending)) = (&mut shown, pending(tenant, T::KIND, name)) {
        shown.insert("pending".to_owned(), pending);
    }
    shown
}

/// The change that waits for consent: whose, since when, for what, and what would be.
fn pending(tenant: &InTenant<power::See>, kind: &'static str, name: &str) -> Option<Value> {
    let id = (kind, name.to_owned());
    let Pending { resource, by, at } = tenant.tenant.written.pending.get(&id)?;
    let mut pending = json!({ "by": by, "since": at, "document": resource });
    let told = match tenant.tenant.resolved.waiting.get(&id)? {
        Ok(waiting) => serde_json::to_value(waiting.told()).ok()?,
        Err(error) => json!({ "error": error }),
    };
    if let (Value::Object(pending), Value::Object(told)) = (&mut pending, told) {
        pending.extend(told);
    }
    Some(pending)
}
