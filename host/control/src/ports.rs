//! What control needs of the rest of the host, in its own words; the server
//! fits the real things to these. Control knows no sandbox, no journal and no vault.

mod authorizations;
mod keys;
mod repair;
mod step_tests;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::name::{EndpointName, SecretName, TenantId, TopicName};
use host_model::outcome::Finished;
use host_model::quota::QuotaUse;
use host_model::resource::{Connection, Package};
use host_model::run::{Run, Step};
use host_model::search::Filter;
use host_store::{Commit, StoreError};
use secrecy::SecretString;

pub use self::authorizations::{Authorizations, Beginning};
pub use self::keys::{Keys, Rotated};
pub use self::repair::{By, From, LetterPage, LetterQuery, Order, Repair, RepairError, Replay, Replayed};
pub use self::step_tests::{StepTest, StepTests};

/// Why the host itself did not do what it was asked. The text is for the
/// operator's log; a caller sees the code only.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PortError {
    /// No place is free; worth trying again after this.
    #[error("busy, try again in {} ms", .0.as_millis())]
    Busy(Duration),
    /// A quota of the tenant's is used up, or the host is short of something;
    /// worth trying again after this.
    #[error("{0}")]
    NoRoom(String, Duration),
    /// What was asked is refused for a reason that the caller may read.
    #[error("{0}")]
    Refused(String),
    /// The host failed.
    #[error("{0}")]
    Internal(String),
}

impl std::convert::From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Calls of connectors, each in a fresh sandbox with the connection's bounds.
pub trait Calls: Send + Sync + 'static {
    /// Sees whether an upload runs on this host: it compiles and links, and a
    /// connector's code serves what its manifest declares.
    /// [`PortError::Refused`] says what does not fit.
    fn examine(&self, package: Package, component: Bytes) -> BoxFuture<'_, Result<(), PortError>>;

    /// Tests the connection.
    fn check(&self, connection: Arc<Connection>) -> BoxFuture<'_, Result<Finished<String>, PortError>>;

    /// Calls an outbound endpoint with one JSON text; an answer is one too.
    fn call(
        &self,
        connection: Arc<Connection>,
        endpoint: EndpointName,
        input: String,
    ) -> BoxFuture<'_, Result<Finished<String>, PortError>>;
}

/// Which runs to list.
#[derive(Clone, Debug)]
pub struct RunQuery {
    /// Those that match.
    pub filter: Filter,
    /// Runs older than this one.
    pub after: Option<RunId>,
    /// At most so many.
    pub limit: NonZeroUsize,
}

/// A page of runs.
#[derive(Clone, Debug, Default)]
pub struct RunPage {
    /// Newest first.
    pub runs: Vec<Run>,
    /// Pass as `after` for the next page.
    pub next: Option<RunId>,
}

/// A run and what it did.
#[derive(Clone, Debug)]
pub struct RunStory {
    /// The run.
    pub run: Run,
    /// Its steps, in order of their numbers.
    pub steps: Vec<Step>,
}

/// What is known of runs.
pub trait Runs: Send + Sync + 'static {
    /// A tenant's runs, newest first.
    fn list<'a>(&'a self, tenant: &'a TenantId, query: RunQuery)
    -> BoxFuture<'a, Result<RunPage, PortError>>;

    /// One run, with its steps.
    fn show<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
    ) -> BoxFuture<'a, Result<Option<RunStory>, PortError>>;
}

/// Why an event was not taken in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EventError {
    /// There is no such run of this tenant.
    #[error("there is no such run")]
    Absent,
    /// It came before. The text says so.
    #[error("{0}")]
    Taken(String),
    /// Too many wait for the run to ask for them.
    #[error("{0}")]
    Crowded(String),
    /// The run has ended.
    #[error("{0}")]
    Over(String),
    /// The name or the data is none.
    #[error("{0}")]
    Invalid(String),
    /// The host failed.
    #[error("{0}")]
    Internal(String),
}

/// Events for runs.
pub trait Events: Send + Sync + 'static {
    /// Makes an event durable, and wakes its run if that waits for it.
    fn send<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        event: &'a str,
        data: String,
    ) -> BoxFuture<'a, Result<(), EventError>>;
}

/// Topics, to which people and programs publish by hand.
pub trait Topics: Send + Sync + 'static {
    /// Gives one JSON text to every workflow that subscribes; the runs are
    /// durable when this returns, none if there is no subscriber or every
    /// filter refuses. Again with the same key gives the same runs.
    fn publish<'a>(
        &'a self,
        tenant: &'a TenantId,
        topic: &'a TopicName,
        data: String,
        key: Option<String>,
    ) -> BoxFuture<'a, Result<Vec<RunId>, PortError>>;
}

/// Quotas, and how tenants stand with them.
pub trait Usage: Send + Sync + 'static {
    /// Each quota of a tenant, always in the same order.
    fn usage(&self, tenant: &TenantId) -> Vec<QuotaUse>;
}

/// Stored secrets: written and named, never read back. A change is one commit
/// with what is given `beside` it.
pub trait Secrets: Send + Sync + 'static {
    /// Sets a secret, over any earlier value.
    fn set<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        value: SecretString,
        beside: Commit,
    ) -> BoxFuture<'a, Result<(), PortError>>;

    /// Deletes a secret; `false` if it was not there.
    fn delete<'a>(
        &'a self,
        tenant: &'a TenantId,
        name: &'a SecretName,
        beside: Commit,
    ) -> BoxFuture<'a, Result<bool, PortError>>;

    /// The names of a tenant's secrets, in order.
    fn names<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Vec<SecretName>, PortError>>;
}
