//! Somebody's word, given to an outside system, that a connection may act for them.

use host_model::clock::Timestamp;
use host_model::effects::BoxFuture;
use host_model::resource::Connection;
use serde::Serialize;
use utoipa::ToSchema;

use super::PortError;

/// An authorization that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Beginning {
    /// The outside system's page, for whoever is to authorize.
    pub url: String,
    /// Until when they may come back from there.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// Authorizations of connections.
pub trait Authorizations: Send + Sync + 'static {
    /// Why a connection cannot be used before somebody authorizes it, if so.
    fn needed<'a>(&'a self, connection: &'a Connection) -> BoxFuture<'a, Result<Option<String>, PortError>>;

    /// Begins one; `by` is the id of the token that asked.
    fn begin<'a>(
        &'a self,
        connection: &'a Connection,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Beginning, PortError>>;
}
