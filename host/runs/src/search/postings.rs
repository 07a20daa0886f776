//! What a run can be found by, and its entries in the lists of that.

use std::collections::BTreeSet;

use bytes::Bytes;
use host_model::id::RunId;
use host_model::name::{ConnectionName, TenantId, WorkflowName};
use host_model::run::{RunStatus, StartedBy};
use host_store::Commit;
use host_store::key::{self, Key};

use crate::keys::turned;
use crate::record::Record;

/// The most connections of one run that it is found by, the first that it
/// called: each is a write, and a usual workflow has a handful.
pub(crate) const MAX_CONNECTIONS: usize = 16;

/// Something that runs are looked for by, and have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Facet<'a> {
    Workflow(&'a WorkflowName),
    Status(RunStatus),
    Error(&'a str),
    Connection(&'a ConnectionName),
    Key(&'a str, &'a str),
}

impl Facet<'_> {
    /// The list of the tenant's runs that have it.
    pub(crate) fn list(self, tenant: &TenantId) -> Key {
        let tenant = key::tenant(tenant);
        match self {
            Self::Workflow(name) => tenant.kind("run-by-workflow").name(name.as_str()),
            Self::Status(status) => tenant.kind("run-by-status").name(status.as_str()),
            Self::Error(kind) => tenant.kind("run-by-error").name(kind),
            Self::Connection(name) => tenant.kind("run-by-connection").name(name.as_str()),
            Self::Key(name, value) => tenant.kind("run-by-key").name(name).name(value),
        }
    }

    fn entry(self, tenant: &TenantId, id: RunId) -> Bytes {
        self.list(tenant).bytes(&turned(id)).into()
    }
}

/// Whether runs that stand there have a list: most runs have succeeded, and
/// those that are accepted are in the pending list.
pub(crate) fn has_list(status: RunStatus) -> bool {
    !matches!(status, RunStatus::Accepted | RunStatus::Succeeded)
}

/// The connections that a run is found by: what started it, and what it called.
pub(crate) fn connections(record: &Record) -> impl Iterator<Item = &ConnectionName> {
    let received = match &record.started_by {
        StartedBy::Webhook(connection) => Some(connection),
        _ => None,
    };
    received.into_iter().chain(&record.connections)
}

/// The entries that a run has in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Posted(BTreeSet<Bytes>);

impl Posted {
    /// Those that the record asks for; a test is in no list.
    pub(crate) fn of(record: &Record) -> Self {
        if record.test.is_some() {
            return Self::default();
        }
        let entry = |facet: Facet<'_>| facet.entry(&record.tenant, record.id);
        let mut all = BTreeSet::from([entry(Facet::Workflow(&record.workflow))]);
        if has_list(record.status) {
            all.insert(entry(Facet::Status(record.status)));
        }
        all.extend(record.error().map(|kind| entry(Facet::Error(kind))));
        all.extend(connections(record).map(|name| entry(Facet::Connection(name))));
        all.extend(record.keys.iter().map(|(name, value)| entry(Facet::Key(name, value))));
        Self(all)
    }
}

/// Adds to the commit that removes a record that nothing finds it any more.
pub(crate) fn unpost(Posted(there): &Posted, mut commit: Commit) -> Commit {
    commit.delete.extend(there.iter().cloned());
    commit
}

#[cfg(test)]
impl Posted {
    /// The entries.
    pub(crate) fn keys(self) -> BTreeSet<Bytes> {
        self.0
    }

    /// The entry of a run that has this business key.
    pub(crate) fn key_entry(tenant: &TenantId, name: &str, value: &str, id: RunId) -> Bytes {
        Facet::Key(name, value).entry(tenant, id)
    }
}

/// Adds to the commit that writes this record what brings its entries along.
pub(crate) fn repost(record: &Record, mut commit: Commit) -> Commit {
    let (Posted(before), Posted(after)) = (&record.posted, &Posted::of(record));
    commit.put.extend(after.difference(before).map(|entry| (entry.clone(), Bytes::new())));
    commit.delete.extend(before.difference(after).cloned());
    commit
}
