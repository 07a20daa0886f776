//! What routing hands on.

use std::num::NonZeroU32;
use std::sync::Arc;

use host_model::name::{EndpointName, TenantId};
use host_model::resource::{Connection, Workflow};

/// A request that has found its tenant and its target. Only [`crate::Routes`] makes one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Routed {
    /// Whose it is.
    pub tenant: TenantId,
    /// How many calls this tenant may have going on at once, if it has a limit of its own.
    pub concurrency: Option<NonZeroU32>,
    /// What serves it.
    pub target: Target,
}

/// What serves a request.
#[derive(Clone, Debug)]
pub enum Target {
    /// An inbound endpoint of a connector.
    Endpoint {
        /// The connection that the path names.
        connection: Arc<Connection>,
        /// The endpoint.
        endpoint: EndpointName,
        /// What follows the endpoint in the path, as it arrived, without a leading slash.
        path: String,
    },
    /// A `wasi:http/proxy` component, which serves every path.
    Proxy {
        /// The connection that the path names.
        connection: Arc<Connection>,
        /// What follows the connection in the path, as it arrived, without a leading slash.
        path: String,
    },
    /// A workflow, to be run by hand.
    Workflow(Arc<Workflow>),
}

/// Nothing is there. Whether that is for the tenant, the connection, the
/// endpoint or the workflow is not told: names are not for strangers to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such tenant, connection, endpoint or workflow")]
pub struct NoRoute;
