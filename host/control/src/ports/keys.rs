//! The keys that secrets are sealed by: seen by their public names, and rotated.

use host_model::effects::BoxFuture;
use host_model::name::TenantId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::PortError;

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rotated {
    /// The public name of the master key that wraps now.
    pub master_key: String,
    /// How many data keys were wrapped, or values sealed, anew.
    pub changed: usize,
}

/// Master keys and data keys.
pub trait Keys: Send + Sync + 'static {
    /// Which keys hold how much, by their public names.
    fn report(&self) -> BoxFuture<'_, Result<Value, PortError>>;

    /// Wraps every data key by a new master key, or finishes what was cut off.
    fn rotate_master(&self) -> BoxFuture<'_, Result<Rotated, PortError>>;

    /// Seals the values of one tenant, or of all, by fresh data keys.
    fn rotate_data<'a>(&'a self, tenant: Option<&'a TenantId>) -> BoxFuture<'a, Result<Rotated, PortError>>;
}
