//! `wharf tenant`: who pays.

use host_model::bounds::BoundsSpec;
use host_model::resource::TenantSpec;

use super::{Session, resources};
use crate::args::{Kind, Tenant};
use crate::error::{CommandError, Exit};

pub(super) async fn run(session: &mut Session<'_>, command: Tenant) -> Result<Exit, CommandError> {
    match command {
        Tenant::Create { name, concurrency } => {
            let path = format!("api/v1/tenants/{name}");
            let spec = TenantSpec { name, concurrency, bounds: BoundsSpec::default() };
            let body = session.api.put(&path).json(&spec).value().await?;
            session.show(&body, || format!("tenant {}: stored", spec.name))
        }
        Tenant::List => resources::list(session, Kind::Tenant).await,
        Tenant::Delete { name } => resources::delete(session, Kind::Tenant, name.as_str()).await,
    }
}
