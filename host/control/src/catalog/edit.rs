//! Changes: checked together against everything else, made together or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use host_audit::{Chain, Deed};
use host_model::digest::Digest;
use host_model::name::{PackageRef, TenantId};
use host_model::resource::{ConnectionSpec, Resource, ScheduleSpec, SchemaSpec, TenantSpec, WorkflowSpec};
use host_store::{BlobError, Commit, MAX_VALUE, StoreError};
use registry::ReadError;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::consent::{Judge, package_of};
use super::resolve::Id;
use super::stored::{Tenanted, Written, resource_key, retired_key, tenant_key};
use crate::ports::PortError;

/// One change that somebody asks for.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Writes a resource. A tenant's resources need their tenant.
    Put(Option<TenantId>, Box<Resource>),
    /// Deletes a tenant, which must have nothing.
    DeleteTenant(TenantId),
    /// Deletes a tenant's resource, by kind and name.
    Delete(TenantId, Id),
    /// Makes the change of a resource that waits, if it is the one of this digest.
    Consent(TenantId, Id, Digest),
    /// Takes back all consents to a resource, and drops what waits.
    Withdraw(TenantId, Id),
}

impl Edit {
    /// Whose things it changes.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Put(tenant, resource) => match &**resource {
                Resource::Tenant(spec) => Some(&spec.name),
                _ => tenant.as_ref(),
            },
            Self::DeleteTenant(tenant)
            | Self::Delete(tenant, _)
            | Self::Consent(tenant, ..)
            | Self::Withdraw(tenant, _) => Some(tenant),
        }
    }

    /// The package that it brings.
    pub(super) fn package(&self) -> Option<PackageRef> {
        match self {
            Self::Put(_, resource) => package_of(resource).cloned(),
            _ => None,
        }
    }
}

/// What became, or would become, of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It was not there.
    Created,
    /// It was there and is different now.
    Updated,
    /// It was there, the same.
    Unchanged,
    /// It is gone.
    Deleted,
    /// It was there and is served as it was: what was written waits for consent.
    Pending,
}

/// What a change waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitsFor {
    /// What it would be allowed to do that it is not, in words.
    pub asks: Vec<String>,
    /// Names this difference: whoever consents sends it.
    pub digest: String,
}

/// What became of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Done {
    /// `tenant`, `connection`, `workflow`, `schedule` or `schema`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub action: Action,
    /// What its author may want to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What it, or the change of it, waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<WaitsFor>,
}

impl Done {
    pub(super) fn new(kind: &'static str, name: impl ToString, action: Action) -> Self {
        Self { kind, name: name.to_string(), action, warnings: Vec::new(), waits: None }
    }
}

/// Something that keeps a change from being made: which edit, by its place,
/// unless it is about a resource that the change would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Objection {
    pub(crate) edit: Option<usize>,
    /// The line of the applied text, if it is known better than the edit's own.
    pub(crate) line: Option<u64>,
    /// The column of that line, if it is known.
    pub(crate) column: Option<u64>,
    pub(crate) message: String,
}

/// Why a change was not made. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    #[error("the change does not fit: {}", .0.iter().map(|it| it.message.as_str()).collect::<Vec<_>>().join("; "))]
    Objections(Vec<Objection>),
    #[error("there is no such thing")]
    Absent,
    #[error("nothing of {0} `{1}` waits for consent")]
    NothingWaits(&'static str, String),
    #[error("what waits of {0} `{1}` is not what you were shown: look again, and consent to that")]
    NotShown(&'static str, String),
    #[error("others keep changing the same things: try again")]
    Contended,
    #[error("the checker of workflows did not answer")]
    Port(#[from] PortError),
    #[error("cannot keep what a workflow is made of")]
    Blob(#[from] BlobError),
    #[error("cannot change the catalog")]
    Store(#[from] StoreError),
    #[error("cannot change the catalog")]
    Registry(#[from] ReadError),
}

/// What edits make of the catalog, before anything is checked against the packages.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) commit: Commit,
    pub(crate) done: Vec<Done>,
    /// What is changed, for the log.
    pub(crate) deeds: Vec<Deed>,
    /// The edits' resources, to tell whose mistake an error is.
    pub(crate) of: BTreeMap<(TenantId, Id), usize>,
    pub(crate) touched: BTreeSet<TenantId>,
    pub(crate) objections: Vec<Objection>,
}

impl Plan {
    /// Applies the edits to `tenants` in memory, tenants first so that a file
    /// may make one after its resources.
    ///
    /// Without a judge nothing has to wait.
    pub(super) fn make(
        edits: &[Edit],
        tenants: &mut BTreeMap<TenantId, Written>,
        judge: Option<&Judge<'_>>,
    ) -> Result<Self, EditError> {
        let mut plan = Self::default();
        let mut done = BTreeMap::new();
        let tenants_first = edits.iter().enumerate().partition::<Vec<_>, _>(
            |(_, edit)| matches!(edit, Edit::Put(_, resource) if matches!(**resource, Resource::Tenant(_))),
        );
        for (place, edit) in tenants_first.0.into_iter().chain(tenants_first.1) {
            if let Some(outcome) = plan.apply(place, edit, tenants, judge)? {
                done.insert(place, outcome);
            }
        }
        plan.done = done.into_values().collect();
        Ok(plan)
    }

    /// Whether there is anything to commit.
    pub(crate) fn changes(&self) -> bool {
        !self.commit.put.is_empty() || !self.commit.delete.is_empty()
    }

    fn apply(
        &mut self,
        place: usize,
        edit: &Edit,
        tenants: &mut BTreeMap<TenantId, Written>,
        judge: Option<&Judge<'_>>,
    ) -> Result<Option<Done>, EditError> {
        match edit {
            Edit::Put(Some(tenant), resource) if self.holds(tenant, resource, tenants, judge) => {
                Ok(self.hold(place, tenant, resource, tenants, judge))
            }
            Edit::Put(tenant, resource) => match (&**resource, tenant) {
                (Resource::Tenant(spec), _) => Ok(self.put_tenant(place, spec, tenants)),
                (Resource::Connection(spec), Some(tenant)) => Ok(self.put(place, tenant, spec, tenants)),
                (Resource::Workflow(spec), Some(tenant)) => Ok(self.put(place, tenant, spec, tenants)),
                (Resource::Schedule(spec), Some(tenant)) => Ok(self.put(place, tenant, spec, tenants)),
                (Resource::Schema(spec), Some(tenant)) => Ok(self.put(place, tenant, spec, tenants)),
                (_, None) => {
                    self.object(place, "whose is it? Name the tenant (`tenant=` in the query, `--tenant`)");
                    Ok(None)
                }
            },
            Edit::DeleteTenant(tenant) => self.delete_tenant(place, tenant, tenants),
            Edit::Delete(tenant, (kind, name)) => match *kind {
                ConnectionSpec::KIND => self.delete::<ConnectionSpec>(tenant, name, tenants),
                WorkflowSpec::KIND => self.delete::<WorkflowSpec>(tenant, name, tenants),
                SchemaSpec::KIND => self.delete::<SchemaSpec>(tenant, name, tenants),
                _ => self.delete::<ScheduleSpec>(tenant, name, tenants),
            }
            .map(Some),
            Edit::Consent(tenant, id, digest) => self.consent(place, tenant, id, digest, tenants, judge),
            Edit::Withdraw(tenant, id) => self.withdraw(tenant, id, tenants).map(Some),
        }
    }

    pub(super) fn put<T: Tenanted>(
        &mut self,
        place: usize,
        tenant: &TenantId,
        spec: &T,
        tenants: &mut BTreeMap<TenantId, Written>,
    ) -> Option<Done> {
        let id = (T::KIND, spec.name().to_string());
        let dropped = tenants.get_mut(tenant).is_some_and(|written| self.drop_pending(tenant, &id, written));
        let mut done = self.put_as_is(place, tenant, spec, tenants)?;
        if dropped && done.action == Action::Unchanged {
            self.tell_of(tenant, &id, "dropped the change that waited for consent", None);
        }
        done.warnings.extend(dropped.then(|| "the change that waited for consent is dropped".to_owned()));
        Some(done)
    }

    /// The same, beside what waits.
    pub(super) fn put_as_is<T: Tenanted>(
        &mut self,
        place: usize,
        tenant: &TenantId,
        spec: &T,
        tenants: &mut BTreeMap<TenantId, Written>,
    ) -> Option<Done> {
        let Some(written) = tenants.get_mut(tenant) else {
            self.object(place, format!("tenant `{tenant}` does not exist"));
            return None;
        };
        let name = spec.name().clone();
        let key = resource_key::<T>(tenant, &name);
        self.claim(place, tenant, T::KIND, &name)?;
        let before = T::of_mut(written).insert(name.clone(), Ok(spec.clone()));
        let action = match &before {
            None => Action::Created,
            Some(Ok(before)) if before == spec => Action::Unchanged,
            Some(_) => Action::Updated,
        };
        self.write(place, key.into(), action, spec)?;
        if action != Action::Unchanged {
            self.tell(tenant, T::KIND, &name, before.and_then(Result::ok).as_ref(), Some(spec));
        }
        Some(Done::new(T::KIND, name, action))
    }

    fn put_tenant(
        &mut self,
        place: usize,
        spec: &TenantSpec,
        tenants: &mut BTreeMap<TenantId, Written>,
    ) -> Option<Done> {
        let id = &spec.name;
        self.claim(place, id, "tenant", id)?;
        let before = tenants.get(id).map(|written| written.spec.clone());
        let action = match tenants.get_mut(id) {
            Some(written) if written.spec == *spec => Action::Unchanged,
            Some(written) => {
                written.spec = spec.clone();
                Action::Updated
            }
            None => {
                tenants.insert(id.clone(), Written::nothing(spec.clone()));
                self.commit.require.push(host_store::Require::Absent(retired_key(id).into()));
                Action::Created
            }
        };
        self.write(place, tenant_key(id).into(), action, spec)?;
        if action != Action::Unchanged {
            self.tell(id, "tenant", id, before.as_ref(), Some(spec));
        }
        Some(Done::new("tenant", id, action))
    }

    fn delete<T: Tenanted>(
        &mut self,
        tenant: &TenantId,
        name: &str,
        tenants: &mut BTreeMap<TenantId, Written>,
    ) -> Result<Done, EditError> {
        let written = tenants.get_mut(tenant).ok_or(EditError::Absent)?;
        let name: T::Name = name.parse().map_err(|_| EditError::Absent)?;
        // One that cannot be read any more can still be deleted.
        let before = T::of_mut(written).remove(&name).ok_or(EditError::Absent)?;
        self.tell(tenant, T::KIND, &name, before.ok().as_ref(), None);
        self.commit.delete.push(resource_key::<T>(tenant, &name).into());
        let id = (T::KIND, name.to_string());
        self.drop_pending(tenant, &id, written);
        self.drop_consents(tenant, &id, written);
        self.touched.insert(tenant.clone());
        Ok(Done::new(T::KIND, name, Action::Deleted))
    }

    fn delete_tenant(
        &mut self,
        place: usize,
        tenant: &TenantId,
        tenants: &mut BTreeMap<TenantId, Written>,
    ) -> Result<Option<Done>, EditError> {
        let written = tenants.get(tenant).ok_or(EditError::Absent)?;
        let left = [
            (written.connections.len(), "connections"),
            (written.workflows.len(), "workflows"),
            (written.schedules.len(), "schedules"),
            (written.schemas.len(), "schemas"),
        ];
        let left: Vec<_> = left
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !left.is_empty() {
            self.object(place, format!("tenant `{tenant}` still has {}: delete them first", left.join(", ")));
            return Ok(None);
        }
        let before = tenants.remove(tenant).map(|written| written.spec);
        self.tell(tenant, "tenant", tenant, before.as_ref(), None);
        self.touched.insert(tenant.clone());
        self.commit.delete.push(tenant_key(tenant).into());
        self.commit.put.push((retired_key(tenant).into(), bytes::Bytes::new()));
        Ok(Some(Done::new("tenant", tenant, Action::Deleted)))
    }

    /// Says for the log how something was and how it is.
    fn tell<T: Serialize>(
        &mut self,
        tenant: &TenantId,
        kind: &'static str,
        name: &impl fmt::Display,
        before: Option<&T>,
        after: Option<&T>,
    ) {
        let shown = |spec: Option<&T>| spec.and_then(|spec| serde_json::to_value(spec).ok());
        let deed = Deed::new(Chain::Tenant(tenant.clone()), kind, &name.to_string());
        self.deeds.push(deed.change(shown(before), shown(after)));
    }

    /// Says for the log what was done about consent.
    pub(super) fn tell_of(&mut self, tenant: &TenantId, (kind, name): &Id, what: &str, about: Option<Value>) {
        let deed = Deed::new(Chain::Tenant(tenant.clone()), kind, name).detail(what);
        self.deeds.push(deed.change(None, about));
    }

    /// Remembers whose edit a resource is; two edits of one resource in one change are a mistake.
    pub(super) fn claim(
        &mut self,
        place: usize,
        tenant: &TenantId,
        kind: &'static str,
        name: &dyn fmt::Display,
    ) -> Option<()> {
        self.touched.insert(tenant.clone());
        let id = (tenant.clone(), (kind, name.to_string()));
        if self.of.insert(id, place).is_some() {
            self.object(place, format!("{kind} `{name}` is there twice"));
            return None;
        }
        Some(())
    }

    pub(super) fn write(
        &mut self,
        place: usize,
        key: bytes::Bytes,
        action: Action,
        spec: &impl Serialize,
    ) -> Option<()> {
        let value = serde_json::to_vec(spec).unwrap_or_default();
        if value.is_empty() || value.len() > MAX_VALUE {
            self.object(place, format!("it has {} bytes as JSON, the limit is {MAX_VALUE}", value.len()));
            return None;
        }
        if action != Action::Unchanged {
            self.commit.put.push((key, value.into()));
        }
        Some(())
    }

    pub(super) fn object(&mut self, edit: usize, message: impl Into<String>) {
        self.objections.push(Objection {
            edit: Some(edit),
            line: None,
            column: None,
            message: message.into(),
        });
    }
}
