//! The part of a plan that is about consent: what is held back, what is let
//! through, and what is dropped.

use std::collections::BTreeMap;

use host_model::digest::Digest;
use host_model::grants::GrantsSpec;
use host_model::name::TenantId;
use host_model::resource::{ConnectionSpec, Resource, WorkflowSpec};

use super::consent::{Consent, Judge, Pending, shown};
use super::edit::{Action, Done, EditError, Plan};
use super::resolve::Id;
use super::stored::{Tenanted, Written, consents_key, pending_key};

type Tenants = BTreeMap<TenantId, Written>;

impl Plan {
    /// Whether an edit has to wait.
    pub(super) fn holds(
        &self,
        tenant: &TenantId,
        resource: &Resource,
        tenants: &Tenants,
        judge: Option<&Judge<'_>>,
    ) -> bool {
        tenants.get(tenant).zip(judge).is_some_and(|(written, judge)| judge.holds(written, resource))
    }

    /// Keeps an edit beside what is served. A connection that is new is made
    /// as it is written but for its grants: others may name it already.
    pub(super) fn hold(
        &mut self,
        place: usize,
        tenant: &TenantId,
        resource: &Resource,
        tenants: &mut Tenants,
        judge: Option<&Judge<'_>>,
    ) -> Option<Done> {
        let author = judge?.author;
        let id = id_of(resource)?;
        let written = tenants.get_mut(tenant)?;
        let known = match resource {
            Resource::Connection(spec) => matches!(written.connections.get(&spec.name), Some(Ok(_))),
            _ => true,
        };
        let done = match resource {
            Resource::Connection(spec) if !known => {
                let bare = ConnectionSpec { grants: GrantsSpec::default(), ..spec.clone() };
                self.put_as_is(place, tenant, &bare, tenants)?
            }
            _ => {
                self.claim(place, tenant, id.0, &id.1)?;
                Done::new(id.0, &id.1, Action::Pending)
            }
        };
        let written = tenants.get_mut(tenant)?;
        if written.pending.get(&id).is_none_or(|pending| pending.resource != *resource) {
            let pending = Pending { resource: resource.clone(), by: author.by.clone(), at: author.at };
            self.write(place, pending_key(tenant, &id).into(), Action::Pending, &pending)?;
            self.tell_of(tenant, &id, "waits for consent", serde_json::to_value(resource).ok());
            written.pending.insert(id, pending);
        }
        Some(done)
    }

    /// Makes the change that waits, if it is the one that was shown.
    pub(super) fn consent(
        &mut self,
        place: usize,
        tenant: &TenantId,
        id: &Id,
        digest: &Digest,
        tenants: &mut Tenants,
        judge: Option<&Judge<'_>>,
    ) -> Result<Option<Done>, EditError> {
        let written = tenants.get_mut(tenant).ok_or(EditError::Absent)?;
        let nothing = || EditError::NothingWaits(id.0, id.1.clone());
        let (pending, judge) = written.pending.get(id).cloned().zip(judge).ok_or_else(nothing)?;
        let waiting = match shown(written, &pending, judge.packages) {
            Ok(waiting) => waiting,
            Err(why) => {
                self.object(place, format!("{} `{}`: {why}", id.0, id.1));
                return Ok(None);
            }
        };
        if waiting.digest != *digest {
            return Err(EditError::NotShown(id.0, id.1.clone()));
        }
        let allowed = serde_json::json!(waiting.told().asks);
        self.tell_of(tenant, id, &format!("consented to {digest}"), Some(allowed));
        if let Some(consent) = waiting.consent(judge.author) {
            let mut consents = written.consents.get(id).cloned().unwrap_or_default();
            consents.push(consent);
            if self.remember(place, tenant, id, &consents).is_none() {
                return Ok(None);
            }
            written.consents.insert(id.clone(), consents);
        }
        // Which drops what waited.
        let done = match &pending.resource {
            Resource::Connection(spec) => self.put(place, tenant, spec, tenants),
            Resource::Workflow(spec) => self.put(place, tenant, spec, tenants),
            _ => None,
        };
        Ok(done.map(|done| Done { warnings: Vec::new(), ..done }))
    }

    fn remember(&mut self, place: usize, tenant: &TenantId, id: &Id, consents: &[Consent]) -> Option<()> {
        let kept = self.write(place, consents_key(tenant, id).into(), Action::Updated, &consents);
        if kept.is_none() {
            self.object(place, "write what it needs under `grants:` instead, and apply that");
        }
        kept
    }

    /// Takes back what was consented to, and drops what waits.
    pub(super) fn withdraw(
        &mut self,
        tenant: &TenantId,
        id: &Id,
        tenants: &mut Tenants,
    ) -> Result<Done, EditError> {
        let written = tenants.get_mut(tenant).ok_or(EditError::Absent)?;
        let dropped = self.drop_pending(tenant, id, written);
        let withdrawn = self.drop_consents(tenant, id, written);
        if !dropped && !withdrawn {
            return Err(EditError::NothingWaits(id.0, id.1.clone()));
        }
        self.tell_of(tenant, id, "took back what was consented to, and dropped what waited", None);
        self.touched.insert(tenant.clone());
        Ok(Done::new(id.0, &id.1, Action::Updated))
    }

    /// Drops what waits of a resource; whether anything did.
    pub(super) fn drop_pending(&mut self, tenant: &TenantId, id: &Id, written: &mut Written) -> bool {
        let dropped = written.pending.remove(id).is_some();
        self.commit.delete.extend(dropped.then(|| pending_key(tenant, id).into()));
        dropped
    }

    /// Forgets what was consented to; whether anything was.
    pub(super) fn drop_consents(&mut self, tenant: &TenantId, id: &Id, written: &mut Written) -> bool {
        let dropped = written.consents.remove(id).is_some();
        self.commit.delete.extend(dropped.then(|| consents_key(tenant, id).into()));
        dropped
    }
}

fn id_of(resource: &Resource) -> Option<Id> {
    match resource {
        Resource::Connection(spec) => Some((ConnectionSpec::KIND, spec.name.to_string())),
        Resource::Workflow(spec) => Some((WorkflowSpec::KIND, spec.name.to_string())),
        _ => None,
    }
}
