//! The catalog: what tenants have set up, kept durably, and as the host uses it.
//!
//! Takes edits, gives what routing and schedules need through an [`Outlet`].
//!
//! Invariants
//! - A change is checked against everything else of its tenant, and made whole
//!   or not at all, also when two hosts change at once.
//! - When a change returns, this host already serves it.
//! - A kept resource that no longer fits is left out with its error; the host
//!   goes on with the others.

mod consent;
mod cycles;
mod edit;
mod held;
mod reading;
mod resolve;
mod schemas;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use host_audit::{Act, Audit};
use host_model::forbidden::IsForbidden;
use host_model::name::{PackageRef, TenantId};
use host_model::resource::{Package, Resource, SchemaSpec, TenantSpec};
use host_routing::Snapshot;
use host_schedules::Schedule;
use host_store::{Commit, Require, Store, StoreError, Version};
use registry::{ReadError, Registry};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::consent::Judge;
pub use self::consent::Waits;
pub(crate) use self::consent::{Author, Pending, Waiting};
pub use self::edit::{Action, Done, WaitsFor};
pub(crate) use self::edit::{Edit, EditError, Objection, Plan};
use self::reading::Looked;
pub use self::reading::Reader;
pub use self::resolve::Ceilings;
pub(crate) use self::resolve::nearest_outbound;
use self::resolve::{Packages, Resolved, packages_of, resolve};
pub(crate) use self::stored::{Kept, Tenanted, Written};
use self::stored::{generation, generation_key};
pub use self::stored::{open_hooks, tenant_ids, waits};

/// How often a change that another host's change overtook is checked again.
const ATTEMPTS: usize = 20;
/// How long to wait before a store that failed is read again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the catalog puts what it holds, whole, whenever it changed.
pub trait Outlet: Send + Sync + 'static {
    /// Serve this from now on.
    fn replace(&self, routes: Snapshot, schedules: Vec<Schedule>);
}

/// Why the catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error("cannot read the catalog")]
    Store(#[from] StoreError),
    /// The registry failed.
    #[error("cannot read the packages that the catalog names")]
    Registry(#[from] ReadError),
}

/// What a tenant wrote, and what the host made of it.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) written: Written,
    pub(crate) resolved: Resolved,
}

type Tenants = BTreeMap<TenantId, Arc<Tenant>>;

struct Held {
    generation: Version,
    tenants: Tenants,
}

/// What all tenants have set up.
pub struct Catalog {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    registry: Registry,
    ceilings: Ceilings,
    outlet: Box<dyn Outlet>,
    reader: Reader,
    held: ArcSwap<Held>,
    /// One change or reading at a time in this host; other hosts are kept
    /// apart by the generation.
    turn: Mutex<()>,
}

impl Catalog {
    /// Reads everything and puts it into the outlet.
    pub async fn open(
        store: Arc<dyn Store>,
        audit: Arc<Audit>,
        registry: Registry,
        ceilings: Ceilings,
        outlet: Box<dyn Outlet>,
        reader: Reader,
    ) -> Result<Arc<Self>, LoadError> {
        let nothing = Held { generation: 0, tenants: Tenants::new() };
        let (held, turn) = (ArcSwap::from_pointee(nothing), Mutex::new(()));
        let catalog = Self { store, audit, registry, ceilings, outlet, reader, held, turn };
        catalog.reload(true).await?;
        Ok(Arc::new(catalog))
    }

    /// Takes over what other hosts change, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut bell = self.store.watch(&generation_key());
        loop {
            if let Err(error) = self.reload(false).await {
                tracing::warn!(%error, cause = ?error, "the catalog stays as it is until the store answers");
                if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                    return;
                }
                continue;
            }
            match stop.run_until_cancelled(bell.rung()).await {
                Some(true) => {}
                Some(false) | None => return,
            }
        }
    }

    /// Whether the operator forbids a package, or all that it could be granted of what it asks for.
    pub(crate) fn forbids(&self, package: &Package) -> Result<(), IsForbidden> {
        let forbidden = &self.ceilings.forbidden;
        forbidden.package(&package.package).and_then(|()| forbidden.manifest(&package.manifest))
    }

    /// A tenant, as this host serves it now.
    pub(crate) fn tenant(&self, tenant: &TenantId) -> Option<Arc<Tenant>> {
        self.held.load().tenants.get(tenant).cloned()
    }

    /// All tenants, in order of their names.
    pub(crate) fn tenants(&self) -> Vec<TenantSpec> {
        self.held.load().tenants.values().map(|tenant| tenant.written.spec.clone()).collect()
    }

    /// Makes the edits, all or none; with `dry_run`, only says what would become of them.
    pub(crate) async fn edit(
        &self,
        author: &Author,
        edits: Vec<Edit>,
        dry_run: bool,
        act: &Act,
    ) -> Result<Vec<Done>, EditError> {
        // Before the turn is taken: a guest reads the texts, and others need not wait for it.
        let Looked { edits, objections, mut warnings } = self.check_texts(edits, !dry_run).await?;
        match self.edit_checked(author, &edits, dry_run || !objections.is_empty(), act).await {
            Ok(mut done) if objections.is_empty() => {
                for (place, done) in done.iter_mut().enumerate() {
                    done.warnings.extend(warnings.remove(&place).unwrap_or_default());
                }
                Ok(done)
            }
            Ok(_) => Err(EditError::Objections(objections)),
            Err(EditError::Objections(mut more)) => {
                let told: BTreeSet<_> = objections.iter().filter_map(|objection| objection.edit).collect();
                more.retain(|objection| objection.edit.is_none_or(|edit| !told.contains(&edit)));
                Err(EditError::Objections(objections.into_iter().chain(more).collect()))
            }
            Err(other) => Err(other),
        }
    }

    async fn edit_checked(
        &self,
        author: &Author,
        edits: &[Edit],
        dry_run: bool,
        act: &Act,
    ) -> Result<Vec<Done>, EditError> {
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            if generation(&self.store).await? != self.held.load().generation {
                self.read(false).await?;
            }
            let held = self.held.load_full();
            let (plan, tenants) = self.plan(author, edits, &held).await?;
            if dry_run || !plan.changes() {
                act.settle();
                return Ok(plan.done);
            }
            match self.audit.commit(act, plan.deeds, next(plan.commit, held.generation)).await {
                Ok(generation) => {
                    self.install(Held { generation, tenants });
                    return Ok(plan.done);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EditError::Contended)
    }

    /// What the edits make of the catalog; an error if anything does not fit.
    async fn plan(&self, author: &Author, edits: &[Edit], held: &Held) -> Result<(Plan, Tenants), EditError> {
        let mut written: BTreeMap<TenantId, Written> = edits
            .iter()
            .filter_map(|edit| held.tenants.get(edit.tenant()?))
            .map(|tenant| (tenant.written.spec.name.clone(), tenant.written.clone()))
            .collect();
        let named = written.values().flat_map(packages_of).chain(edits.iter().filter_map(Edit::package));
        let packages = self.packages(named.collect()).await?;
        let mut plan = Plan::make(edits, &mut written, Some(&Judge { packages: &packages, author }))?;
        let mut tenants = held.tenants.clone();
        for id in std::mem::take(&mut plan.touched) {
            let Some(written) = written.remove(&id) else {
                tenants.remove(&id);
                continue;
            };
            if !tenants.contains_key(&id) && self.store.get(&stored::retired_key(&id)).await?.is_some() {
                let message =
                    format!("tenant `{id}` was deleted, and an id is never given again: choose another");
                plan.objections.push(Objection { edit: None, line: None, column: None, message });
            }
            let before = held.tenants.get(&id);
            let room = self.ceilings.room_for_packages(&written, before.map(|before| &before.written));
            if let Err(message) = room {
                plan.objections.push(Objection { edit: None, line: None, column: None, message });
            }
            let resolved = self.resolve(&written, &packages);
            let before = before.map(|tenant| &tenant.resolved.errors);
            for (resource, error) in &resolved.errors {
                let (kind, name) = resource;
                let edit = plan.of.get(&(id.clone(), resource.clone())).copied();
                let broken_before = before.is_some_and(|errors| errors.contains_key(resource));
                let message = match edit {
                    Some(_) => format!("{kind} `{name}`: {error}"),
                    None if broken_before => continue,
                    None => format!("this would break {kind} `{name}`: {error}"),
                };
                plan.objections.push(Objection { edit, line: None, column: None, message });
            }
            for ((kind, name), error) in
                resolved.waiting.iter().filter_map(|(id, it)| Some((id, it.as_ref().err()?)))
            {
                if let Some(edit) = plan.of.get(&(id.clone(), (*kind, name.clone()))).copied() {
                    let message = format!("{kind} `{name}`: {error}");
                    plan.objections.push(Objection { edit: Some(edit), line: None, column: None, message });
                }
            }
            for (name, message) in
                held.tenants.get(&id).into_iter().flat_map(|before| schemas::changed_in_use(before, &written))
            {
                let edit = plan.of.get(&(id.clone(), (SchemaSpec::KIND, name.to_string()))).copied();
                plan.objections.push(Objection { edit, line: None, column: None, message });
            }
            tenants.insert(id, Arc::new(Tenant { written, resolved }));
        }
        if plan.objections.is_empty() {
            warn_of_hooks(&mut plan, edits, &tenants);
            tell_what_waits(&mut plan, edits, &tenants);
            Ok((plan, tenants))
        } else {
            Err(EditError::Objections(plan.objections))
        }
    }

    async fn reload(&self, always: bool) -> Result<(), LoadError> {
        let _turn = self.turn.lock().await;
        self.read(always).await
    }

    /// Reads everything, unless nothing changed. Whoever calls has the turn.
    async fn read(&self, always: bool) -> Result<(), LoadError> {
        if !always && generation(&self.store).await? == self.held.load().generation {
            return Ok(());
        }
        let stored = stored::read(&self.store).await?;
        let held = self.held.load_full();
        let mut tenants = Tenants::new();
        for (id, written) in stored.tenants {
            let tenant = match held.tenants.get(&id) {
                Some(same) if same.written == written && same.resolved.errors.is_empty() => Arc::clone(same),
                before => {
                    let packages = self.packages(packages_of(&written)).await?;
                    let resolved = self.resolve(&written, &packages);
                    warn_of_new(&id, &resolved, before.map(|before| &before.resolved));
                    Arc::new(Tenant { written, resolved })
                }
            };
            tenants.insert(id, tenant);
        }
        self.install(Held { generation: stored.generation, tenants });
        Ok(())
    }

    fn install(&self, held: Held) {
        let tenants = || held.tenants.values();
        let specs = tenants().map(|tenant| tenant.written.spec.clone()).collect();
        let connections = tenants().flat_map(|tenant| tenant.resolved.connections.values()).map(Arc::clone);
        let workflows = tenants().flat_map(|tenant| tenant.resolved.workflows.iter().cloned()).collect();
        let schedules = tenants().flat_map(|tenant| tenant.resolved.schedules.iter().cloned()).collect();
        let schemas = held.tenants.iter().flat_map(|(id, tenant)| {
            tenant.resolved.schemas.values().map(|schema| (id.clone(), Arc::clone(schema)))
        });
        let routes = Snapshot::build(specs, connections.collect(), workflows).with_schemas(schemas);
        self.outlet.replace(routes, schedules);
        self.held.store(Arc::new(held));
    }

    fn resolve(&self, written: &Written, packages: &Packages) -> Resolved {
        let before = self.tenant(&written.spec.name);
        let schemas = schemas::accept(written, before.as_deref());
        resolve(written, packages, schemas, &self.ceilings)
    }

    async fn packages(&self, named: BTreeSet<PackageRef>) -> Result<Packages, ReadError> {
        let mut packages = Packages::new();
        for package in named {
            let found = match self.registry.get(&package).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => Err(self.not_published(&package).await?),
                Err(ReadError::Store(error)) => return Err(error.into()),
                // One damaged package is the trouble of those who use it.
                Err(error) => Err(error.to_string()),
            };
            packages.insert(package, found);
        }
        Ok(packages)
    }

    async fn not_published(&self, package: &PackageRef) -> Result<String, ReadError> {
        let versions = self.registry.versions(&package.name).await?;
        let published: Vec<_> = versions.iter().map(|it| it.package.version.to_string()).collect();
        Ok(match published.as_slice() {
            [] => format!("package `{package}` is not in the registry: publish it first"),
            some => format!("package `{package}` is not in the registry, which has {}", some.join(", ")),
        })
    }
}

impl From<LoadError> for EditError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Store(error) => error.into(),
            LoadError::Registry(error) => error.into(),
        }
    }
}

/// The same commit, if nobody changed anything since this generation.
fn next(mut commit: Commit, generation: Version) -> Commit {
    let key = generation_key();
    commit.require.push(match generation {
        0 => Require::Absent(key.clone().into()),
        at => Require::At(key.clone().into(), at),
    });
    commit.put(key, "")
}

/// Says what of the edits waits, and for what.
fn tell_what_waits(plan: &mut Plan, edits: &[Edit], tenants: &Tenants) {
    for (edit, done) in edits.iter().zip(&mut plan.done) {
        let tenant = edit.tenant().and_then(|tenant| tenants.get(tenant));
        let waiting = tenant.and_then(|it| it.resolved.waiting.get(&(done.kind, done.name.clone())));
        done.waits = waiting.and_then(|it| it.as_ref().ok()).map(Waiting::told);
    }
}

/// Says which of the edits leave hooks open, or closed. Each has its place in
/// what is done, for nothing was objected to.
fn warn_of_hooks(plan: &mut Plan, edits: &[Edit], tenants: &Tenants) {
    for (edit, done) in edits.iter().zip(&mut plan.done) {
        if let Edit::Put(Some(tenant), resource) = edit
            && let Resource::Connection(spec) = &**resource
            && let Some(connection) =
                tenants.get(tenant).and_then(|it| it.resolved.connections.get(&spec.name))
        {
            done.warnings.extend(connection.warnings());
        }
    }
}

fn warn_of_new(tenant: &TenantId, resolved: &Resolved, before: Option<&Resolved>) {
    for ((kind, name), error) in &resolved.errors {
        let known = before.and_then(|before| before.errors.get(&(*kind, name.clone())));
        if known != Some(error) {
            tracing::warn!(tenant.id = %tenant, kind, name, error, "left out {kind} `{name}`, which no longer fits");
        }
    }
    for (name, connection) in &resolved.connections {
        if before.and_then(|before| before.connections.get(name)) != Some(connection) {
            let warnings = connection.warnings();
            warnings.iter().for_each(|warning| tracing::warn!(tenant.id = %tenant, "{warning}"));
        }
    }
}
