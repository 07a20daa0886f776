//! The live routes: one snapshot at a time, exchanged whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use host_model::name::{ConnectionName, SchemaRef, TenantId, TopicName, WorkflowName};
use host_model::resource::{Connection, TenantSpec, Workflow};
use host_schemas::Schema;

use crate::{NoRoute, Routed, Snapshot, Wanted};

/// The live routes. Look-ups take no lock, so a change never delays a request.
#[derive(Debug, Default)]
pub struct Routes {
    now: ArcSwap<Snapshot>,
}

impl Routes {
    /// Puts a new snapshot in place. Requests already routed keep what they have.
    pub fn replace(&self, snapshot: Snapshot) {
        self.now.store(Arc::new(snapshot));
    }

    /// What serves `/hooks/{tenant}/{connection}/{rest}`. `rest` is the raw path,
    /// without a leading slash; its first segment is the endpoint, and an empty
    /// one means the connector's only inbound endpoint.
    pub fn resolve_hook(&self, tenant: &str, connection: &str, rest: &str) -> Result<Routed, NoRoute> {
        self.now.load().hook(tenant, connection, rest)
    }

    /// What serves `/run/{tenant}/{workflow}`.
    pub fn resolve_run(&self, tenant: &str, workflow: &str) -> Result<Routed, NoRoute> {
        self.now.load().run(tenant, workflow)
    }

    /// The workflows that a message of this kind, emitted by this connection,
    /// may start: each once, in order of their names.
    pub fn workflows_for(
        &self,
        tenant: &TenantId,
        connection: &ConnectionName,
        message_kind: &str,
    ) -> Vec<Wanted> {
        self.now.load().wanted_by(tenant, connection, message_kind)
    }

    /// The workflows that a message to this topic may start: each once, in
    /// order of their names.
    pub fn subscribers(&self, tenant: &TenantId, topic: &TopicName) -> Vec<Wanted> {
        self.now.load().subscribers(tenant, topic)
    }

    /// Every tenant.
    pub fn tenants(&self) -> Vec<Arc<TenantSpec>> {
        self.now.load().tenants().map(Arc::clone).collect()
    }

    /// A tenant.
    pub fn tenant(&self, tenant: &TenantId) -> Option<Arc<TenantSpec>> {
        self.now.load().tenant(tenant).map(Arc::clone)
    }

    /// How many versions of packages a tenant's connections and workflows name.
    pub fn packages(&self, tenant: &TenantId) -> usize {
        self.now.load().packages(tenant)
    }

    /// A tenant's connection.
    pub fn connection(&self, tenant: &TenantId, name: &ConnectionName) -> Option<Arc<Connection>> {
        self.now.load().connection(tenant, name).map(Arc::clone)
    }

    /// A schema, as a tenant names it: a shipped one or its own.
    pub fn schema(&self, tenant: &TenantId, name: &SchemaRef) -> Option<Arc<Schema>> {
        self.now.load().schema(tenant, name).map(Arc::clone)
    }

    /// A tenant's workflow.
    pub fn workflow(&self, tenant: &TenantId, name: &WorkflowName) -> Option<Arc<Workflow>> {
        self.now.load().workflow(tenant, name).map(Arc::clone)
    }
}
