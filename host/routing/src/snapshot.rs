//! What all tenants have set up at one moment, arranged for look-ups.

use std::collections::HashMap;
use std::sync::Arc;

use host_model::manifest::{Direction, World};
use host_model::name::{ConnectionName, EndpointName, SchemaRef, TenantId, WorkflowName};
use host_model::resource::{Connection, TenantSpec, Trigger, Workflow};
use host_schemas::Schema;

use crate::{NoRoute, Routed, Target};

/// What all tenants have set up at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug)]
struct Tenant {
    spec: Arc<TenantSpec>,
    connections: HashMap<ConnectionName, Reachable>,
    workflows: HashMap<WorkflowName, Arc<Workflow>>,
    /// Its own; the shipped ones are everybody's.
    schemas: HashMap<SchemaRef, Arc<Schema>>,
    /// By the connection that emits. Shared, so that a look-up can outlive the snapshot.
    triggered: HashMap<ConnectionName, Arc<[Triggered]>>,
}

#[derive(Debug)]
struct Reachable {
    connection: Arc<Connection>,
    /// The endpoint that an empty path means: the only inbound one, if there is just one.
    only: Option<EndpointName>,
}

/// A workflow that a connection's messages start. It is here once, however
/// many of its triggers match, so that one message starts it once.
#[derive(Debug)]
pub(crate) struct Triggered {
    pub(crate) workflow: Arc<Workflow>,
    /// `None`: messages of any kind.
    kinds: Vec<Option<String>>,
}

impl Triggered {
    pub(crate) fn by(&self, kind: &str) -> bool {
        self.kinds.iter().any(|wanted| wanted.as_deref().is_none_or(|wanted| wanted == kind))
    }
}

impl Snapshot {
    /// Arranges what the tenants have set up. What belongs to a tenant that is
    /// not among `tenants` is out of reach.
    pub fn build(tenants: Vec<TenantSpec>, connections: Vec<Connection>, workflows: Vec<Workflow>) -> Self {
        let mut all: HashMap<TenantId, Tenant> =
            tenants.into_iter().map(|spec| (spec.name.clone(), Tenant::new(spec))).collect();
        for connection in connections {
            if let Some(tenant) = all.get_mut(&connection.tenant) {
                let only = only_inbound(&connection);
                let name = connection.name.clone();
                tenant.connections.insert(name, Reachable { connection: Arc::new(connection), only });
            }
        }
        for workflow in workflows {
            if let Some(tenant) = all.get_mut(&workflow.tenant) {
                tenant.workflows.insert(workflow.name.clone(), Arc::new(workflow));
            }
        }
        all.values_mut().for_each(Tenant::arrange_triggers);
        Self { tenants: all }
    }

    /// The same, with the tenants' own schemas.
    #[must_use]
    pub fn with_schemas(mut self, schemas: impl IntoIterator<Item = (TenantId, Arc<Schema>)>) -> Self {
        for (tenant, schema) in schemas {
            if let Some(tenant) = self.tenants.get_mut(&tenant) {
                tenant.schemas.insert(schema.name().clone(), schema);
            }
        }
        self
    }

    pub(crate) fn hook(&self, tenant: &str, connection: &str, rest: &str) -> Result<Routed, NoRoute> {
        let (tenant, found) = self
            .tenants
            .get(tenant)
            .ok_or(NoRoute)
            .and_then(|tenant| Ok((tenant, tenant.connections.get(connection).ok_or(NoRoute)?)))?;
        let connection = Arc::clone(&found.connection);
        let target = match connection.package.manifest.world {
            World::HttpProxy => Target::Proxy { connection, path: rest.to_owned() },
            World::Connector => {
                let (first, path) = rest.split_once('/').unwrap_or((rest, ""));
                let endpoint = match first {
                    "" if path.is_empty() => found.only.as_ref(),
                    name => connection.inbound(name),
                };
                let endpoint = endpoint.ok_or(NoRoute)?.clone();
                Target::Endpoint { connection, endpoint, path: path.to_owned() }
            }
            // `Connection::resolve` refuses these; nothing is lost by refusing them again.
            World::Workflow => return Err(NoRoute),
        };
        Ok(tenant.routed(target))
    }

    pub(crate) fn run(&self, tenant: &str, workflow: &str) -> Result<Routed, NoRoute> {
        let tenant = self.tenants.get(tenant).ok_or(NoRoute)?;
        let workflow = tenant.workflows.get(workflow).ok_or(NoRoute)?;
        Ok(tenant.routed(Target::Workflow(Arc::clone(workflow))))
    }

    pub(crate) fn tenant(&self, tenant: &TenantId) -> Option<&Arc<TenantSpec>> {
        Some(&self.tenants.get(tenant)?.spec)
    }

    pub(crate) fn connection(&self, tenant: &TenantId, name: &ConnectionName) -> Option<&Arc<Connection>> {
        Some(&self.tenants.get(tenant)?.connections.get(name)?.connection)
    }

    pub(crate) fn workflow(&self, tenant: &TenantId, name: &WorkflowName) -> Option<&Arc<Workflow>> {
        self.tenants.get(tenant)?.workflows.get(name)
    }

    pub(crate) fn schema(&self, tenant: &TenantId, name: &SchemaRef) -> Option<&Arc<Schema>> {
        host_schemas::shipped(name).or_else(|| self.tenants.get(tenant)?.schemas.get(name))
    }

    pub(crate) fn triggered(
        &self,
        tenant: &TenantId,
        connection: &ConnectionName,
    ) -> Option<&Arc<[Triggered]>> {
        self.tenants.get(tenant)?.triggered.get(connection)
    }
}

impl Tenant {
    fn new(spec: TenantSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            connections: HashMap::new(),
            workflows: HashMap::new(),
            schemas: HashMap::new(),
            triggered: HashMap::new(),
        }
    }

    fn routed(&self, target: Target) -> Routed {
        Routed { tenant: self.spec.name.clone(), concurrency: self.spec.concurrency, target }
    }

    fn arrange_triggers(&mut self) {
        let mut workflows: Vec<_> = self.workflows.values().collect();
        // The order that runs are started and listed in; a map has none.
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        let mut arranged: HashMap<ConnectionName, Vec<Triggered>> = HashMap::new();
        for workflow in workflows {
            for Trigger::Webhook { connection, message } in &workflow.triggers {
                let list = arranged.entry(connection.clone()).or_default();
                match list.last_mut().filter(|last| Arc::ptr_eq(&last.workflow, workflow)) {
                    Some(last) => last.kinds.push(message.clone()),
                    None => {
                        list.push(Triggered { workflow: Arc::clone(workflow), kinds: vec![message.clone()] })
                    }
                }
            }
        }
        self.triggered = arranged.into_iter().map(|(name, list)| (name, list.into())).collect();
    }
}

fn only_inbound(connection: &Connection) -> Option<EndpointName> {
    let endpoints = &connection.package.manifest.endpoints;
    let mut inbound = endpoints.iter().filter(|(_, endpoint)| endpoint.direction == Direction::Inbound);
    match (inbound.next(), inbound.next()) {
        (Some((name, _)), None) => Some(name.clone()),
        _ => None,
    }
}
