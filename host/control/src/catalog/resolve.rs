//! What a tenant wrote, fitted to the packages it names. Pure: the packages
//! are brought along, so every rule is tested without a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use host_model::bounds::Bounds;
use host_model::forbidden::Forbidden;
use host_model::manifest::{Direction, Manifest};
use host_model::name::{ConnectionName, EndpointName, PackageRef, SchemaRef, TenantId};
use host_model::quota::{Quota, QuotasSpec};
use host_model::resource::{
    Connection, ConnectionSpec, Package, Resource, ScheduleSpec, SchemaSpec, Trigger, Use, Workflow,
    WorkflowSpec,
};
use host_model::suggest::nearest;
use host_schedules::Schedule;
use host_schemas::Schema;

use super::consent::{Pending, Waiting, consented, package_of, shown};
use super::schemas::{self, Accepted};
use super::stored::{Tenanted, Written};

/// The most that anything may use and reach: the operator's. Tenants,
/// packages and connections only lower it.
#[derive(Clone, Debug)]
pub struct Ceilings {
    /// For calls of connectors.
    pub connection: Bounds,
    /// For runs of workflows.
    pub workflow: Bounds,
    /// What nobody may have.
    pub forbidden: Forbidden,
    /// Of what each tenant may have in all, if its document does not say.
    pub quotas: QuotasSpec,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            connection: Bounds::default(),
            workflow: Bounds::for_workflows(),
            forbidden: Forbidden::default(),
            quotas: QuotasSpec::default(),
        }
    }
}

impl Ceilings {
    /// Whether a tenant may name as many versions of packages as it would.
    /// Who is above the quota already may go on, with no more of them.
    pub(super) fn room_for_packages(
        &self,
        written: &Written,
        before: Option<&Written>,
    ) -> Result<(), String> {
        let quota = Quota::Packages;
        let (limit, would) = (written.spec.quotas.limit(quota, &self.quotas), packages_of(written).len());
        if would as u64 > limit && would > before.map_or(0, |before| packages_of(before).len()) {
            let remedy = quota.remedy();
            return Err(format!(
                "the tenant's quota `{quota}` would be passed: {would} versions of packages, of {limit}; {remedy}, or ask the operator for more"
            ));
        }
        Ok(())
    }
}

/// The packages that resources name; for one that cannot be used, why.
pub(crate) type Packages = HashMap<PackageRef, Result<Package, String>>;

/// What is said of steps that have no tree yet: their mistakes are told by the checker.
pub(crate) const UNCHECKED: &str = "its steps have mistakes";

/// A resource within its tenant: `connection`, `crm`.
pub(crate) type Id = (&'static str, String);

/// A tenant's resources as used, and what is wrong with the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) connections: BTreeMap<ConnectionName, Arc<Connection>>,
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) schemas: BTreeMap<SchemaRef, Arc<Schema>>,
    pub(crate) errors: BTreeMap<Id, String>,
    /// What waits for consent; why nobody can consent to it, where nobody can.
    pub(crate) waiting: BTreeMap<Id, Result<Waiting, String>>,
}

/// The packages that a tenant's resources name.
pub(crate) fn packages_of(written: &Written) -> BTreeSet<PackageRef> {
    let connections = written.connections.values().flatten().map(|spec| spec.package.clone());
    let workflows = written.workflows.values().flatten().filter_map(|spec| spec.run_by().cloned());
    let pending = written.pending.values().filter_map(|it| package_of(&it.resource).cloned());
    connections.chain(workflows).chain(pending).collect()
}

/// Fits everything that a tenant wrote; what does not fit is left out with its error.
pub(crate) fn resolve(
    written: &Written,
    packages: &Packages,
    accepted: Accepted,
    ceilings: &Ceilings,
) -> Resolved {
    let lowered = Ceilings {
        connection: ceilings.connection.lowered_by(&written.spec.bounds),
        workflow: ceilings.workflow.lowered_by(&written.spec.bounds),
        forbidden: ceilings.forbidden.clone(),
        quotas: ceilings.quotas,
    };
    let it = Resolving { written, packages, ceilings: lowered, tenant: written.spec.name.clone() };
    let mut resolved = Resolved::default();
    for (name, schema) in accepted {
        match schema {
            Ok(schema) => drop(resolved.schemas.insert(name, schema)),
            Err(error) => drop(resolved.errors.insert((SchemaSpec::KIND, name.to_string()), error)),
        }
    }
    for (name, connection) in it.each::<ConnectionSpec, _>(&mut resolved.errors, |spec| it.connection(spec)) {
        resolved.connections.insert(name, Arc::new(connection));
    }
    let workflows = it.each::<WorkflowSpec, _>(&mut resolved.errors, |spec| it.workflow(spec));
    resolved.workflows = workflows.into_iter().map(|(_, workflow)| workflow).collect();
    let schedules = it.each::<ScheduleSpec, _>(&mut resolved.errors, |spec| it.schedule(spec));
    resolved.schedules = schedules.into_iter().map(|(_, schedule)| schedule).collect();
    resolved.waiting =
        written.pending.iter().map(|(id, it_waits)| (id.clone(), it.waiting(it_waits))).collect();
    resolved
}

struct Resolving<'a> {
    written: &'a Written,
    packages: &'a Packages,
    ceilings: Ceilings,
    tenant: TenantId,
}

impl Resolving<'_> {
    fn each<T: Tenanted, U>(
        &self,
        errors: &mut BTreeMap<Id, String>,
        fit: impl Fn(T) -> Result<U, String>,
    ) -> Vec<(T::Name, U)> {
        let mut fitted = Vec::new();
        for (name, kept) in T::of(self.written) {
            match kept.clone().and_then(&fit) {
                Ok(it) => fitted.push((name.clone(), it)),
                Err(error) => drop(errors.insert((T::KIND, name.to_string()), error)),
            }
        }
        fitted
    }

    fn connection(&self, mut spec: ConnectionSpec) -> Result<Connection, String> {
        let package = self.package(&spec.package)?;
        let id = (ConnectionSpec::KIND, spec.name.to_string());
        spec.grants = spec.grants.and(&consented(self.written, &id, &spec.package));
        self.ceilings.forbidden.grants(&spec.grants).map_err(|error| format!("grants: {error}"))?;
        schemas::known(&package.manifest, &self.written.schemas)?;
        Connection::resolve(self.tenant.clone(), spec, package, &self.ceilings.connection)
            .map_err(|error| error.to_string())
    }

    /// A change that waits must fit as it is, and with what would be consented to.
    fn waiting(&self, pending: &Pending) -> Result<Waiting, String> {
        let waiting = shown(self.written, pending, self.packages)?;
        match &pending.resource {
            Resource::Connection(spec) => {
                let grants = spec.grants.clone().and(&waiting.difference.asks);
                self.connection(ConnectionSpec { grants, ..spec.clone() }).map(drop)?;
            }
            Resource::Workflow(spec) => self.workflow(spec.clone()).map(drop)?,
            _ => {}
        }
        Ok(waiting)
    }

    fn workflow(&self, spec: WorkflowSpec) -> Result<Workflow, String> {
        spec.check().map_err(|error| error.to_string())?;
        let package = spec.run_by().ok_or_else(|| UNCHECKED.to_owned())?;
        let package = self.package(package)?;
        let source = spec.source.clone();
        let workflow = Workflow::resolve(self.tenant.clone(), spec, package, &self.ceilings.workflow)
            .map_err(|error| error.to_string())?;
        schemas::known(&workflow.package.manifest, &self.written.schemas)?;
        match source.and_then(|source| source.checked.map(|checked| (source.file, checked.uses))) {
            Some((file, uses)) => self.uses(&file, &uses)?,
            None => self.roles(&workflow)?,
        }
        for trigger in &workflow.triggers {
            let Trigger::Webhook { connection, .. } = trigger else { continue };
            let Some(manifest) = self.manifest_of("triggers", connection)? else { continue };
            if !manifest.endpoints.values().any(|endpoint| endpoint.direction == Direction::Inbound) {
                return Err(format!(
                    "triggers: connection `{connection}` ({}) receives nothing: it has no inbound endpoint",
                    manifest.package()
                ));
            }
        }
        Ok(workflow)
    }

    /// Code: whoever plays a role must offer what its manifest calls there.
    fn roles(&self, workflow: &Workflow) -> Result<(), String> {
        for (role, connection) in &workflow.roles {
            let at = format!("roles: {role}");
            let Some(manifest) = self.manifest_of(&at, connection)? else { continue };
            let calls = workflow.package.manifest.roles.get(role).map(|role| &role.endpoints);
            for endpoint in calls.into_iter().flatten() {
                self.offered(&at, connection, &manifest, endpoint)?;
            }
        }
        Ok(())
    }

    /// Steps: each call must be one that its connection offers.
    fn uses(&self, file: &str, uses: &[Use]) -> Result<(), String> {
        for Use { connection, endpoint, line } in uses {
            let at = format!("{file}:{line}");
            let Some(manifest) = self.manifest_of(&at, connection)? else { continue };
            self.offered(&at, connection, &manifest, endpoint)?;
        }
        Ok(())
    }

    fn offered(
        &self,
        at: &str,
        connection: &ConnectionName,
        manifest: &Manifest,
        endpoint: &EndpointName,
    ) -> Result<(), String> {
        offers(manifest, endpoint).map_err(|near| {
            format!(
                "{at}: connection `{connection}` ({}) offers no outbound endpoint `{endpoint}`{near}",
                manifest.package()
            )
        })
    }

    fn schedule(&self, spec: ScheduleSpec) -> Result<Schedule, String> {
        let workflows = &self.written.workflows;
        if !workflows.contains_key(&spec.workflow) {
            let near = hint(nearest(spec.workflow.as_str(), workflows.keys().map(|name| name.as_str())));
            return Err(format!("workflow `{}` does not exist{near}", spec.workflow));
        }
        Schedule::resolve(self.tenant.clone(), spec).map_err(|error| error.to_string())
    }

    fn package(&self, package: &PackageRef) -> Result<Package, String> {
        self.ceilings.forbidden.package(package).map_err(|error| error.to_string())?;
        match self.packages.get(package) {
            Some(known) => known.clone(),
            None => Err(format!("package `{package}` is not in the registry: publish it first")),
        }
    }

    /// The manifest of a connection that must exist. `None` for one that is
    /// broken itself: that is told once, there.
    fn manifest_of(&self, at: &str, connection: &ConnectionName) -> Result<Option<Arc<Manifest>>, String> {
        let connections = &self.written.connections;
        let Some(kept) = connections.get(connection) else {
            let near = hint(nearest(connection.as_str(), connections.keys().map(|name| name.as_str())));
            return Err(format!("{at}: connection `{connection}` does not exist{near}"));
        };
        let package = kept.as_ref().ok().and_then(|spec| self.packages.get(&spec.package)?.as_ref().ok());
        Ok(package.map(|package| Arc::clone(&package.manifest)))
    }
}

fn offers(manifest: &Manifest, endpoint: &EndpointName) -> Result<(), String> {
    if manifest.endpoint(endpoint.as_str(), Direction::Outbound).is_some() {
        return Ok(());
    }
    Err(nearest_outbound(manifest, endpoint.as_str()))
}

/// "Did you mean", among the outbound endpoints of a connector.
pub(crate) fn nearest_outbound(manifest: &Manifest, endpoint: &str) -> String {
    let outbound = manifest.endpoints.iter().filter(|(_, it)| it.direction == Direction::Outbound);
    hint(nearest(endpoint, outbound.map(|(name, _)| name.as_str())))
}

pub(super) fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}
