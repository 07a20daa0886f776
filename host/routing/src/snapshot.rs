//! What all tenants have set up at one moment, arranged for look-ups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use host_model::manifest::{Direction, World};
use host_model::name::{ConnectionName, EndpointName, SchemaRef, TenantId, TopicName, WorkflowName};
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
    /// By what the message comes from.
    triggered: HashMap<Origin, Vec<Wanted>>,
}

#[derive(Debug)]
struct Reachable {
    connection: Arc<Connection>,
    /// The endpoint that an empty path means: the only inbound one, if there is just one.
    only: Option<EndpointName>,
}

/// A workflow that a message may start. It is here once, however many of its
/// triggers match, so that one message starts it once.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The workflow.
    pub workflow: Arc<Workflow>,
    /// Places in its list of triggers.
    places: Vec<usize>,
}

impl Wanted {
    /// The triggers that match, in the order that they are written in.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.places.iter().filter_map(|place| self.workflow.triggers.get(*place))
    }

    /// Of these triggers, those that take messages of this kind; `None` if none does.
    fn of_kind(&self, kind: &str) -> Option<Self> {
        let takes = |place: &&usize| match self.workflow.triggers.get(**place) {
            Some(Trigger::Webhook { message, .. }) => message.as_deref().is_none_or(|wanted| wanted == kind),
            Some(Trigger::Topic { .. }) => true,
            None => false,
        };
        let places: Vec<usize> = self.places.iter().filter(takes).copied().collect();
        (!places.is_empty()).then(|| Self { workflow: Arc::clone(&self.workflow), places })
    }
}

/// What messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Connection(ConnectionName),
    Topic(TopicName),
}

impl Snapshot {
    /// Arranges what the tenants have set up. What belongs to a tenant that is
    /// not among `tenants` is out of reach.
    pub fn build(
        tenants: Vec<TenantSpec>,
        connections: Vec<Arc<Connection>>,
        workflows: Vec<Workflow>,
    ) -> Self {
        let mut all: HashMap<TenantId, Tenant> =
            tenants.into_iter().map(|spec| (spec.name.clone(), Tenant::new(spec))).collect();
        for connection in connections {
            if let Some(tenant) = all.get_mut(&connection.tenant) {
                let only = only_inbound(&connection);
                let name = connection.name.clone();
                tenant.connections.insert(name, Reachable { connection, only });
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

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &Arc<TenantSpec>> {
        self.tenants.values().map(|tenant| &tenant.spec)
    }

    pub(crate) fn tenant(&self, tenant: &TenantId) -> Option<&Arc<TenantSpec>> {
        Some(&self.tenants.get(tenant)?.spec)
    }

    pub(crate) fn packages(&self, tenant: &TenantId) -> usize {
        let Some(tenant) = self.tenants.get(tenant) else { return 0 };
        let connections = tenant.connections.values().map(|it| &it.connection.package.package);
        let workflows = tenant.workflows.values().map(|workflow| &workflow.package.package);
        connections.chain(workflows).collect::<HashSet<_>>().len()
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

    pub(crate) fn wanted_by(
        &self,
        tenant: &TenantId,
        connection: &ConnectionName,
        kind: &str,
    ) -> Vec<Wanted> {
        let triggered = self.triggered(tenant, &Origin::Connection(connection.clone()));
        triggered.iter().filter_map(|wanted| wanted.of_kind(kind)).collect()
    }

    pub(crate) fn subscribers(&self, tenant: &TenantId, topic: &TopicName) -> Vec<Wanted> {
        self.triggered(tenant, &Origin::Topic(topic.clone())).to_vec()
    }

    fn triggered(&self, tenant: &TenantId, origin: &Origin) -> &[Wanted] {
        let triggered = self.tenants.get(tenant).and_then(|tenant| tenant.triggered.get(origin));
        triggered.map(Vec::as_slice).unwrap_or_default()
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
        let mut arranged: HashMap<Origin, Vec<Wanted>> = HashMap::new();
        for workflow in workflows {
            for (place, trigger) in workflow.triggers.iter().enumerate() {
                let origin = match trigger {
                    Trigger::Webhook { connection, .. } => Origin::Connection(connection.clone()),
                    Trigger::Topic { name, .. } => Origin::Topic(name.clone()),
                };
                let list = arranged.entry(origin).or_default();
                match list.last_mut().filter(|last| Arc::ptr_eq(&last.workflow, workflow)) {
                    Some(last) => last.places.push(place),
                    None => list.push(Wanted { workflow: Arc::clone(workflow), places: vec![place] }),
                }
            }
        }
        self.triggered = arranged;
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
