//! What runs need of the sandbox. The server implements it, and waits there
//! for a place from admission; tests implement it in plain Rust.

use std::sync::Arc;
use std::time::Duration;

use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::effects::{BoxFuture, Effects};
use host_model::id::RunId;
use host_model::name::{ConnectionName, EndpointName, PackageRef, TenantId, TopicName, WorkflowName};
use host_model::outcome::Finished;
use host_model::quota::QuotaPassed;
use host_model::resource::Workflow;
use host_model::retention::RetentionSpec;
use host_model::run::Run;

use crate::accept::NewRun;

/// The host itself failed: nothing is known of the guest. Tried again, never recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host could not make the call: {0}")]
pub struct HostFailure(pub String);

/// Why no run is accepted for now. Nothing was taken off a quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The tenant's.
    #[error(transparent)]
    Quota(#[from] QuotaPassed),
    /// The host's: which of its means is short.
    #[error("the host is short of {0} and takes nothing new for now")]
    Host(&'static str),
}

impl NoRoom {
    /// When it is worth trying again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Quota(passed) => Duration::from_secs(passed.retry_after_s),
            Self::Host(_) => Duration::from_secs(10), // the host looks again every second
        }
    }
}

/// Room for runs that are about to be committed, given back when it is dropped.
pub trait Room: Send {
    /// The runs are committed: they stay counted.
    fn keep(self: Box<Self>);
}

impl Room for () {
    fn keep(self: Box<Self>) {}
}

/// One call of an outbound endpoint, as a step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCall {
    /// Whose it is.
    pub tenant: TenantId,
    /// The connection that the workflow's role maps to.
    pub connection: ConnectionName,
    /// The endpoint; the workflow's manifest names it for this role.
    pub endpoint: EndpointName,
    /// One JSON text.
    pub input: String,
    /// The same at every repetition of this step.
    pub idempotency_key: String,
    /// The run that it is a step of.
    pub run: RunId,
}

/// Runs guests. A guest that fails is a [`Finished`] call; an error is the host's own.
pub trait Guests: Send + Sync + 'static {
    /// Runs the run's package once on the run's input, within `bounds` (as they
    /// were when the run was accepted).
    fn run_workflow<'a>(
        &'a self,
        run: &'a Run,
        bounds: &'a Bounds,
        effects: Arc<dyn Effects>,
    ) -> BoxFuture<'a, Result<Finished<String>, HostFailure>>;

    /// Whether that package can still be run: asked before a run is replayed on it.
    fn has_package<'a>(
        &'a self,
        package: &'a PackageRef,
        digest: &'a Digest,
    ) -> BoxFuture<'a, Result<bool, HostFailure>>;

    /// Room for so many runs of a tenant, of about so many bytes together:
    /// asked before they are made durable.
    fn room(&self, tenant: &TenantId, runs: u64, bytes: u64) -> Result<Box<dyn Room>, NoRoom> {
        let _ = (tenant, runs, bytes);
        Ok(Box::new(()))
    }

    /// How long the runs of each tenant are kept.
    fn retention(&self) -> Vec<(TenantId, RetentionSpec)>;

    /// Calls an endpoint once.
    fn call_endpoint(&self, call: EndpointCall) -> BoxFuture<'_, Result<Finished<String>, HostFailure>>;

    /// Whether the data of a message is what a workflow's package takes; if
    /// not, why.
    fn fits<'a>(
        &'a self,
        tenant: &'a TenantId,
        package: &'a PackageRef,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<(), String>, HostFailure>>;

    /// The tenant's workflow of this name, as it is now.
    fn workflow(&self, tenant: &TenantId, name: &WorkflowName) -> Option<Arc<Workflow>>;

    /// The runs that a message to a topic starts, one for each workflow that
    /// subscribes and whose filter it passes. The text is why the message
    /// cannot be published: an expression of a trigger failed on it.
    fn subscribers<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: &'a str,
    ) -> BoxFuture<'a, Result<Result<Vec<NewRun>, String>, HostFailure>>;
}
