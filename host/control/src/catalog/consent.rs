//! What waits for somebody's consent, and what was consented to.
//!
//! A change waits, as a whole and beside what is served, in two cases: its
//! author may not consent and it allows a connection more than before; or a
//! package in another version asks for more than the one that is served asked
//! for and than is allowed. Whoever consents names the digest of the
//! difference that they were shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use host_model::asks::{Ask, MAX_ASKS, asks, beyond, calls};
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::manifest::Manifest;
use host_model::name::{PackageRef, TenantId};
use host_model::resource::{ConnectionSpec, Resource, WorkflowSpec};
use serde::{Deserialize, Serialize};

use super::edit::WaitsFor;
use super::resolve::{Id, Packages};
use super::stored::{Tenanted, Written};

/// Who makes a change, and when.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    /// The token's id.
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    /// Whether they may consent.
    pub(crate) consents: bool,
}

/// A change that waits: the resource as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pending {
    pub(crate) resource: Resource,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

/// What somebody consented to, beside what is written under `grants:`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Consent {
    pub(crate) asks: BTreeSet<Ask>,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    /// The package that asked for it, pinned.
    pub(crate) package: PackageRef,
    pub(crate) digest: Digest,
}

/// By how much a change goes beyond what is served and allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// What the document allows that was not allowed.
    widens: BTreeSet<Ask>,
    /// What the package asks for that neither its last version asked for nor the document allows.
    pub(super) asks: BTreeSet<Ask>,
}

/// What waits, as it is shown to whoever may consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) difference: Difference,
    pub(crate) package: PackageRef,
    package_digest: Digest,
    /// Of the document, the package and the difference: what is consented to, and nothing else.
    pub(crate) digest: Digest,
}

impl Difference {
    /// Whether a change with it waits.
    fn holds(&self, author: &Author) -> bool {
        !self.asks.is_empty() || !self.widens.is_empty() && !author.consents
    }

    /// In words, one line each.
    pub(crate) fn words(&self) -> Vec<String> {
        let all: BTreeSet<Ask> = self.widens.union(&self.asks).cloned().collect();
        beyond(&all, &BTreeSet::new()).iter().map(ToString::to_string).collect()
    }
}

impl Waiting {
    /// As it is told to people.
    pub(crate) fn told(&self) -> WaitsFor {
        WaitsFor { asks: self.difference.words(), digest: self.digest.to_string() }
    }

    /// What is remembered when somebody consents; nothing if the document says it all.
    pub(super) fn consent(self, author: &Author) -> Option<Consent> {
        let Self { difference: Difference { asks, .. }, package, package_digest: digest, .. } = self;
        let (by, at) = (author.by.clone(), author.at);
        (!asks.is_empty()).then_some(Consent { asks, by, at, package, digest })
    }
}

/// Who tells what has to wait: knows the packages and the author.
pub(super) struct Judge<'a> {
    pub(super) packages: &'a Packages,
    pub(super) author: &'a Author,
}

impl Judge<'_> {
    /// Whether a resource has to wait.
    pub(super) fn holds(&self, written: &Written, resource: &Resource) -> bool {
        difference(written, resource, self.packages).is_some_and(|it| it.holds(self.author))
    }
}

/// What waits, as it is now; an error if its package cannot be used.
pub(super) fn shown(written: &Written, pending: &Pending, packages: &Packages) -> Result<Waiting, String> {
    let package = package_of(&pending.resource).ok_or("it names no package")?;
    let found = packages.get(package).cloned();
    let found = found.unwrap_or_else(|| Err(format!("package `{package}` is not in the registry")))?;
    let difference = difference(written, &pending.resource, packages).unwrap_or_default();
    let told = serde_json::to_vec(&(&pending.resource, found.digest, &difference));
    let told = told.map_err(|error| error.to_string())?;
    let (package, package_digest) = (package.clone(), found.digest);
    Ok(Waiting { difference, package, package_digest, digest: Digest::of(&told) })
}

/// The package that a resource names.
pub(super) fn package_of(resource: &Resource) -> Option<&PackageRef> {
    match resource {
        Resource::Connection(spec) => Some(&spec.package),
        Resource::Workflow(spec) => spec.run_by(),
        _ => None,
    }
}

/// By how much a resource goes beyond what its tenant has; `None` if it is of
/// a kind that reaches nothing, or fits no package, which is told elsewhere.
fn difference(written: &Written, resource: &Resource, packages: &Packages) -> Option<Difference> {
    let manifest = |package: &PackageRef| -> Option<Arc<Manifest>> {
        packages.get(package)?.as_ref().ok().map(|package| Arc::clone(&package.manifest))
    };
    match resource {
        Resource::Connection(spec) => {
            let active = written.connections.get(&spec.name).and_then(|kept| kept.as_ref().ok());
            // Another connector under the same name is as good as another connection.
            let active = active.filter(|active| active.package.name == spec.package.name);
            let before = active.map(|active| (manifest(&active.package), active));
            let id = (ConnectionSpec::KIND, spec.name.to_string());
            of_connection(before, (manifest(&spec.package)?, spec), &consented(written, &id, &spec.package))
        }
        Resource::Workflow(spec) if spec.source.is_none() => {
            let active = written.workflows.get(&spec.name).and_then(|kept| kept.as_ref().ok());
            // Steps say themselves whom they call, and a new workflow's set-up says who plays its roles.
            let before = active.filter(|active| active.source.is_none())?.package.as_ref()?;
            let package = spec.package.as_ref()?;
            if before.name != package.name {
                return None;
            }
            let mut allowed = consented(written, &(WorkflowSpec::KIND, spec.name.to_string()), package);
            if let Some(before) = manifest(before) {
                allowed.extend(calls(&before));
            }
            let asks = beyond(&calls(&*manifest(package)?), &allowed);
            Some(Difference { widens: BTreeSet::new(), asks })
        }
        _ => None,
    }
}

/// What is served was set up like this; its package may be damaged.
type Before<'a> = (Option<Arc<Manifest>>, &'a ConnectionSpec);

fn of_connection(
    before: Option<Before<'_>>,
    (manifest, spec): (Arc<Manifest>, &ConnectionSpec),
    consented: &BTreeSet<Ask>,
) -> Option<Difference> {
    if spec.grants.width() > MAX_ASKS {
        return None; // refused when it is fitted to its package
    }
    let allowed_before = match &before {
        Some((manifest, active)) => allowed(manifest.as_deref(), active, consented),
        None => consented.clone(),
    };
    let widens = beyond(&allowed(Some(&manifest), spec, &BTreeSet::new()), &allowed_before);
    let asks = match before {
        Some((old, active)) if active.package != spec.package => {
            // What the set-up changes is its author's doing; what is left is the package's.
            let asked = |spec| old.as_deref().map(|old| asks(old, spec)).unwrap_or_default();
            let known = [asked(active), asked(spec), spec.grants.asks(), consented.clone()];
            beyond(&asks(&manifest, spec), &known.into_iter().flatten().collect())
        }
        _ => BTreeSet::new(),
    };
    Some(Difference { widens, asks })
}

/// What a set-up allows: its grants, and the secrets that go to where these reach.
fn allowed(manifest: Option<&Manifest>, spec: &ConnectionSpec, consented: &BTreeSet<Ask>) -> BTreeSet<Ask> {
    let grants = spec.grants.clone().and(consented);
    let reached = |ask: &Ask| matches!(ask, Ask::Secret { to, .. } if grants.reaches(to));
    let secrets = manifest.map(|manifest| asks(manifest, spec)).unwrap_or_default();
    let secrets = secrets.into_iter().filter(reached);
    grants.asks().into_iter().chain(secrets).chain(consented.iter().cloned()).collect()
}

/// All that was consented to for a resource beside its document, when it was of this package.
pub(super) fn consented(written: &Written, id: &Id, package: &PackageRef) -> BTreeSet<Ask> {
    let consents = written.consents.get(id).into_iter().flatten();
    let of_it = consents.filter(|consent| consent.package.name == package.name);
    of_it.flat_map(|consent| consent.asks.clone()).collect()
}

/// What waits at a tenant, for whoever looks at a store without a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Whose it is.
    pub tenant: TenantId,
    /// `connection` or `workflow`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}
