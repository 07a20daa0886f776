//! What tenants wrote, as it is kept: JSON under keys that carry the tenant first.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use host_model::name::{ConnectionName, ScheduleName, SchemaRef, TenantId, WorkflowName};
use host_model::resource::{
    ConnectionSpec, Resource, ScheduleSpec, SchemaSpec, TenantSpec, Verify, WorkflowSpec,
};
use host_store::port::MAX_PAGE;
use host_store::{Entry, Store, StoreError, Version, key};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::consent::{Consent, Pending, Waits};
use super::resolve::Id;

/// A kept resource: what was written, or why it cannot be read any more.
pub(crate) type Kept<T> = Result<T, String>;

const PENDING: &str = "pending";
const CONSENT: &str = "consent";

/// How often a reading that another host's change cut in two is done again.
const READS: usize = 20;

/// A tenant and all that it wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) spec: TenantSpec,
    pub(crate) connections: BTreeMap<ConnectionName, Kept<ConnectionSpec>>,
    pub(crate) workflows: BTreeMap<WorkflowName, Kept<WorkflowSpec>>,
    pub(crate) schedules: BTreeMap<ScheduleName, Kept<ScheduleSpec>>,
    pub(crate) schemas: BTreeMap<SchemaRef, Kept<SchemaSpec>>,
    /// What waits for consent, one change of a resource at most.
    pub(crate) pending: BTreeMap<Id, Pending>,
    /// What was consented to beside the documents.
    pub(crate) consents: BTreeMap<Id, Vec<Consent>>,
}

impl Written {
    /// A tenant that has nothing yet.
    pub(super) fn nothing(spec: TenantSpec) -> Self {
        let (connections, workflows, schedules, schemas) = Default::default();
        let (pending, consents) = Default::default();
        Self { spec, connections, workflows, schedules, schemas, pending, consents }
    }
}

/// A resource that belongs to a tenant.
pub(crate) trait Tenanted: Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static {
    /// Its name's type.
    type Name: Clone + Ord + Display + FromStr + Serialize + Send + 'static;
    /// The word in YAML, in paths (plural) and in keys.
    const KIND: &'static str;
    fn name(&self) -> &Self::Name;
    fn of(written: &Written) -> &BTreeMap<Self::Name, Kept<Self>>;
    fn of_mut(written: &mut Written) -> &mut BTreeMap<Self::Name, Kept<Self>>;
    fn into_resource(self) -> Resource;
}

macro_rules! tenanted {
    ($spec:ident, $name:ident, $kind:literal, $field:ident, $variant:ident) => {
        impl Tenanted for $spec {
            type Name = $name;
            const KIND: &'static str = $kind;
            fn name(&self) -> &$name {
                &self.name
            }
            fn of(written: &Written) -> &BTreeMap<$name, Kept<Self>> {
                &written.$field
            }
            fn of_mut(written: &mut Written) -> &mut BTreeMap<$name, Kept<Self>> {
                &mut written.$field
            }
            fn into_resource(self) -> Resource {
                Resource::$variant(self)
            }
        }
    };
}
tenanted!(ConnectionSpec, ConnectionName, "connection", connections, Connection);
tenanted!(WorkflowSpec, WorkflowName, "workflow", workflows, Workflow);
tenanted!(ScheduleSpec, ScheduleName, "schedule", schedules, Schedule);
tenanted!(SchemaSpec, SchemaRef, "schema", schemas, Schema);

/// All tenants as of one generation.
pub(crate) struct Stored {
    pub(crate) generation: Version,
    pub(crate) tenants: BTreeMap<TenantId, Written>,
}

/// Changes with every change of any resource: what hosts watch, and what a
/// change requires to be as it was when it was checked.
pub(crate) fn generation_key() -> key::Key {
    key::host().kind("catalog-generation")
}

pub(crate) fn tenant_key(tenant: &TenantId) -> key::Key {
    tenants().name(tenant.as_str())
}

/// Kept for ever for a tenant that was deleted: its id is not given again, so
/// nobody inherits its runs, values or tokens.
pub(crate) fn retired_key(tenant: &TenantId) -> key::Key {
    key::host().kind("tenant-retired").name(tenant.as_str())
}

pub(crate) fn resource_key<T: Tenanted>(tenant: &TenantId, name: &T::Name) -> key::Key {
    key::tenant(tenant).kind(T::KIND).name(&name.to_string())
}

/// Where a change of a resource is kept that waits for consent.
pub(crate) fn pending_key(tenant: &TenantId, (kind, name): &Id) -> key::Key {
    key::tenant(tenant).kind(PENDING).name(kind).name(name)
}

/// Where it is kept what was consented to for a resource.
pub(crate) fn consents_key(tenant: &TenantId, (kind, name): &Id) -> key::Key {
    key::tenant(tenant).kind(CONSENT).name(kind).name(name)
}

fn tenants() -> key::Key {
    key::host().kind("tenant")
}

/// The generation now; 0 before the first change.
pub(crate) async fn generation(store: &Arc<dyn Store>) -> Result<Version, StoreError> {
    Ok(store.get(&generation_key()).await?.map_or(0, |entry| entry.version))
}

/// Reads everything as of one generation.
pub(crate) async fn read(store: &Arc<dyn Store>) -> Result<Stored, StoreError> {
    for _ in 0..READS {
        let before = generation(store).await?;
        let mut all = BTreeMap::new();
        for entry in scan(store, tenants().prefix()).await? {
            // A tenant that cannot be read has nothing that could be served.
            match serde_json::from_slice::<TenantSpec>(&entry.value) {
                Ok(spec) => drop(all.insert(spec.name.clone(), read_tenant(store, spec).await?)),
                Err(error) => tracing::error!(%error, "skipped a tenant that cannot be read"),
            }
        }
        if generation(store).await? == before {
            return Ok(Stored { generation: before, tenants: all });
        }
    }
    Err(StoreError::Conflict)
}

/// The connections whose hooks take what anybody sends, with whose they are:
/// for whoever looks at a store without a host.
pub async fn open_hooks(store: &Arc<dyn Store>) -> Result<Vec<(TenantId, ConnectionName)>, StoreError> {
    let tenants = read(store).await?.tenants;
    let open = tenants.into_iter().flat_map(|(tenant, written)| {
        let connections = written.connections.into_values().flatten();
        let open = connections.filter(|spec| spec.verify == Some(Verify::None));
        open.map(|spec| (tenant.clone(), spec.name)).collect::<Vec<_>>()
    });
    Ok(open.collect())
}

/// What waits for consent, with whose it is: for whoever looks at a store without a host.
pub async fn waits(store: &Arc<dyn Store>) -> Result<Vec<Waits>, StoreError> {
    let tenants = read(store).await?.tenants;
    let of = |(tenant, written): (TenantId, Written)| {
        let waits = move |((kind, name), pending): (Id, Pending)| Waits {
            tenant: tenant.clone(),
            kind,
            name,
            since: pending.at,
        };
        written.pending.into_iter().map(waits)
    };
    Ok(tenants.into_iter().flat_map(of).collect())
}

/// Every tenant, for whoever looks at a store without a host.
pub async fn tenant_ids(store: &Arc<dyn Store>) -> Result<Vec<TenantId>, StoreError> {
    Ok(read(store).await?.tenants.into_keys().collect())
}

async fn read_tenant(store: &Arc<dyn Store>, spec: TenantSpec) -> Result<Written, StoreError> {
    Ok(Written {
        connections: read_kind::<ConnectionSpec>(store, &spec.name).await?,
        workflows: read_kind::<WorkflowSpec>(store, &spec.name).await?,
        schedules: read_kind::<ScheduleSpec>(store, &spec.name).await?,
        schemas: read_kind::<SchemaSpec>(store, &spec.name).await?,
        pending: read_beside(store, &spec.name, PENDING).await?,
        consents: read_beside(store, &spec.name, CONSENT).await?,
        spec,
    })
}

async fn read_kind<T: Tenanted>(
    store: &Arc<dyn Store>,
    tenant: &TenantId,
) -> Result<BTreeMap<T::Name, Kept<T>>, StoreError> {
    let prefix = key::tenant(tenant).kind(T::KIND).prefix();
    let mut kept = BTreeMap::new();
    for entry in scan(store, prefix.clone()).await? {
        let name = key::tail(&prefix, &entry.key).and_then(|tail| tail.strip_suffix(b"\0"));
        let name = name.and_then(|name| std::str::from_utf8(name).ok()?.parse::<T::Name>().ok());
        let Some(name) = name else { continue };
        let spec = serde_json::from_slice(&entry.value);
        kept.insert(
            name,
            spec.map_err(|error| format!("it cannot be read any more ({error}): apply it again")),
        );
    }
    Ok(kept)
}

/// What is kept beside resources. What cannot be read any more is left out:
/// then less is allowed, and nothing waits.
async fn read_beside<T: DeserializeOwned>(
    store: &Arc<dyn Store>,
    tenant: &TenantId,
    beside: &'static str,
) -> Result<BTreeMap<Id, T>, StoreError> {
    let mut all = BTreeMap::new();
    for kind in [ConnectionSpec::KIND, WorkflowSpec::KIND] {
        let prefix = key::tenant(tenant).kind(beside).name(kind).prefix();
        for entry in scan(store, prefix.clone()).await? {
            let name = key::tail(&prefix, &entry.key).and_then(|tail| tail.strip_suffix(b"\0"));
            let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) else { continue };
            match serde_json::from_slice(&entry.value) {
                Ok(kept) => drop(all.insert((kind, name.to_owned()), kept)),
                Err(error) => {
                    tracing::error!(%error, tenant.id = %tenant, "left out the {beside} of {kind} `{name}`, which cannot be read");
                }
            }
        }
    }
    Ok(all)
}

async fn scan(store: &Arc<dyn Store>, prefix: Bytes) -> Result<Vec<Entry>, StoreError> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let after = all.last().map(|entry| entry.key.clone());
        let page = store.scan(&prefix, after.as_deref(), MAX_PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
