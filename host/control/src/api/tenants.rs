//! Tenants: made and deleted by the operator.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use host_model::name::TenantId;
use host_model::resource::{Resource, TenantSpec};
use http::StatusCode;
use serde_json::{Value, json};

use super::resources::{Deleted, change, paged, put_answer, without_kind};
use crate::Control;
use crate::access::{InTenant, May, power};
use crate::catalog::{Done, Edit};
use crate::input::{Page, Params};
use crate::refusal::Refusal;

/// All tenants, in order of their names.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(Page),
    responses((status = 200, body = [Object])))]
pub(super) async fn list_tenants(
    _: May<power::Host>,
    State(control): State<Control>,
    Params(page): Params<Page>,
) -> Result<Response, Refusal> {
    let after = page.after::<TenantId>()?;
    let tenants = control.catalog.tenants();
    let rest = tenants.into_iter().filter(|tenant| after.as_ref().is_none_or(|after| tenant.name > *after));
    let items: Vec<_> = rest.take(page.limit()).collect();
    let last = items.last().map(|tenant| tenant.name.to_string());
    Ok(paged(items.iter().map(show).collect(), page.limit(), last))
}

/// One tenant.
#[utoipa::path(get, path = "/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 200, body = Object)))]
pub(super) async fn get_tenant(tenant: InTenant<power::See>) -> Json<Value> {
    Json(show(&tenant.tenant.written.spec))
}

/// Writes a tenant. An id that was deleted is never given again.
#[utoipa::path(put, path = "/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    request_body = Object,
    responses((status = 200, body = Done), (status = 201, body = Done)))]
pub(super) async fn put_tenant(
    May { caller, .. }: May<power::Host>,
    State(control): State<Control>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Refusal> {
    let spec: TenantSpec = without_kind(body, "tenant").await?;
    if spec.name.as_str() != name {
        return Err(Refusal::invalid(format!("the body's name is `{}`, the path's is another", spec.name)));
    }
    let edit = Edit::Put(None, Box::new(Resource::Tenant(spec)));
    Ok(put_answer(change(&control, &caller, None, edit).await?))
}

/// Deletes a tenant that has nothing any more. Its tokens end with it.
#[utoipa::path(delete, path = "/tenants/{tenant}", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 200, body = Deleted)))]
pub(super) async fn delete_tenant(
    may: May<power::Host>,
    State(control): State<Control>,
    Path(name): Path<String>,
) -> Result<Json<Deleted>, Refusal> {
    let InTenant { caller, id, .. } = may.tenant(&control, &name)?;
    let secrets = control.secrets.names(&id).await?.len();
    if secrets > 0 {
        let detail = format!("tenant `{id}` still has {secrets} secrets: delete them first");
        return Err(Refusal::Wrong(StatusCode::CONFLICT, "in-use", detail));
    }
    change(&control, &caller, Some(&id), Edit::DeleteTenant(id.clone())).await?;
    control.tokens.delete_of(&id, &caller.act).await?;
    Ok(Json(Deleted::new("tenant", &id)))
}

fn show(spec: &TenantSpec) -> Value {
    let mut shown = json!({ "kind": "tenant" });
    if let (Value::Object(shown), Ok(Value::Object(spec))) = (&mut shown, serde_json::to_value(spec)) {
        shown.extend(spec);
    }
    shown
}
