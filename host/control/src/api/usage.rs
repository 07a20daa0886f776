//! What a tenant used of its quotas.

use axum::Json;
use axum::extract::State;
use host_model::quota::QuotaUse;

use crate::Control;
use crate::access::{InTenant, power};

/// Each quota of a tenant: used, limit, whether four fifths are used, and when
/// it is counted from nothing again.
#[utoipa::path(get, path = "/tenants/{tenant}/usage", tag = "tenants", params(("tenant" = String, Path)),
    responses((status = 200, body = [Object])))]
pub(super) async fn get_usage(
    tenant: InTenant<power::See>,
    State(control): State<Control>,
) -> Json<Vec<QuotaUse>> {
    Json(control.usage.usage(&tenant.id))
}
