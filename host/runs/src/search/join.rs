//! Which runs are in every list of a filter: each list is sought to where the
//! others are, so a long list costs no more than the shortest one has entries.
//!
//! Lists that are long and share little are where this is slow; so a search
//! reads only so much for a page, and says where it stopped.

use bytes::Bytes;
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::run::RunStatus;
use host_model::search::Filter;
use host_store::{Store, StoreError};

use super::postings::{Facet, connections, has_list};
use crate::keys;
use crate::record::Record;
use crate::shelf::parse;

/// How many reads of the store one page may take, of 10 us or so each: within
/// 50 ms with room for a disk that is slower than memory.
pub(crate) const MAX_READS: usize = 2_000;
/// How many records are looked through for one page if no list helps: each is
/// a kilobyte that must be read whole.
pub(crate) const MAX_LOOKED: usize = 2_000;
/// How many entries of a list are read at a time: what the store reads without
/// a change of thread.
const AT_ONCE: usize = 32;
/// How many records are read at a time if any of them may be one.
const LOOK: usize = 250;
/// How many runs the pending list may have to be read whole. If there are
/// more, the newest records are looked through: they are among them.
const MAX_ACCEPTED: usize = 2_000;

/// Where a list goes on: a run's id with every bit turned, so that newer is less.
type At = u128;

fn at(id: RunId) -> At {
    u128::from_be_bytes(keys::turned(id))
}

fn id_at(at: At) -> RunId {
    RunId::from_bytes((!at).to_be_bytes())
}

/// The last place that a run of this instant or later may have.
fn last_since(time: Timestamp) -> At {
    const MOST: u64 = (1 << 48) - 1; // what an id has room for
    let ms = u128::from(keys::whole_ms(time).min(MOST));
    !(ms << 80)
}

/// What was found: records that match, newest first, and where to go on.
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    pub(crate) next: Option<RunId>,
}

/// Reads of the store that are left for a page.
struct Reads<'a> {
    store: &'a dyn Store,
    left: usize,
}

/// One list, read some entries at a time.
struct List {
    /// `None` of one that is in memory whole.
    prefix: Option<Bytes>,
    /// Entries that were read and not passed yet, the next last.
    read: Vec<At>,
    ended: bool,
}

impl List {
    fn stored(prefix: Bytes) -> Self {
        Self { prefix: Some(prefix), read: Vec::new(), ended: false }
    }

    /// The first entry at `from` or later.
    async fn seek(&mut self, reads: &mut Reads<'_>, from: At) -> Result<Option<At>, StoreError> {
        while self.read.last().is_some_and(|entry| *entry < from) {
            self.read.pop();
        }
        if let (true, false, Some(prefix)) = (self.read.is_empty(), self.ended, &self.prefix) {
            reads.left = reads.left.saturating_sub(1);
            let key = |at: At| [prefix, &at.to_be_bytes()[..]].concat();
            let before = from.checked_sub(1).map(key);
            let page = reads.store.scan(prefix, before.as_deref(), AT_ONCE).await?;
            self.ended = page.len() < AT_ONCE;
            let entries = page.iter().rev().filter_map(|entry| entry.key.last_chunk::<16>());
            self.read = entries.map(|tail| At::from_be_bytes(*tail)).collect();
        }
        Ok(self.read.last().copied())
    }
}

/// Whether the record is one that is looked for; a test never is. Time is the id's.
fn lets(filter: &Filter, record: &Record) -> bool {
    let Filter { workflow, status, since: _, until: _, error, connection, keys } = filter;
    record.test.is_none()
        && workflow.as_ref().is_none_or(|workflow| *workflow == record.workflow)
        && status.is_none_or(|status| status == record.status)
        && error.as_ref().is_none_or(|error| record.error() == Some(error))
        && connection.as_ref().is_none_or(|name| connections(record).any(|it| it == name))
        && keys.iter().all(|(name, value)| record.keys.get(name) == Some(value))
}

/// The lists of a filter, those first that are likely to be short.
async fn lists(store: &dyn Store, tenant: &TenantId, filter: &Filter) -> Result<Vec<List>, StoreError> {
    let Filter { workflow, status, since: _, until: _, error, connection, keys } = filter;
    let mut facets: Vec<_> = keys.iter().map(|(name, value)| Facet::Key(name, value)).collect();
    facets.extend(error.as_deref().map(Facet::Error));
    facets.extend(status.filter(|status| has_list(*status)).map(Facet::Status));
    facets.extend(connection.as_ref().map(Facet::Connection));
    facets.extend(workflow.as_ref().map(Facet::Workflow));
    let mut lists: Vec<_> =
        facets.into_iter().map(|facet| List::stored(facet.list(tenant).prefix())).collect();
    if *status == Some(RunStatus::Accepted) {
        let pending = keys::pending_of(tenant);
        let (mut read, mut after): (Vec<At>, Option<Bytes>) = (Vec::new(), None);
        while read.len() < MAX_ACCEPTED {
            let page = store.scan(&pending, after.as_deref(), MAX_ACCEPTED - read.len()).await?;
            let Some(last) = page.last() else {
                // Oldest first, so the newest is last, as it has to be.
                lists.insert(0, List { prefix: None, read, ended: true });
                break;
            };
            after = Some(last.key.clone());
            let ids = page.iter().filter_map(|entry| entry.key.last_chunk::<16>());
            read.extend(ids.map(|id| at(RunId::from_bytes(*id))));
        }
    }
    Ok(lists)
}

/// The next runs that match, older than `after`, at most `limit`.
pub(crate) async fn find(
    store: &dyn Store,
    tenant: &TenantId,
    filter: &Filter,
    after: Option<RunId>,
    limit: usize,
) -> Result<Found, StoreError> {
    let newest = filter.until.map_or(0, |until| last_since(until).saturating_add(1));
    let from = after.map_or(newest, |id| at(id).saturating_add(1).max(newest));
    let to = filter.since.map_or(At::MAX, last_since);
    let mut lists = lists(store, tenant, filter).await?;
    if lists.is_empty() {
        look_through(store, tenant, filter, (from, to), limit).await
    } else {
        let mut reads = Reads { store, left: MAX_READS };
        join(&mut reads, &mut lists, tenant, filter, (from, to), limit).await
    }
}

async fn join(
    reads: &mut Reads<'_>,
    lists: &mut [List],
    tenant: &TenantId,
    filter: &Filter,
    (mut from, to): (At, At),
    limit: usize,
) -> Result<Found, StoreError> {
    let mut records = Vec::new();
    'next: loop {
        if from > to {
            return Ok(Found { records, next: None });
        }
        if reads.left == 0 {
            return Ok(Found { records, next: from.checked_sub(1).map(id_at) });
        }
        for list in &mut *lists {
            match list.seek(reads, from).await? {
                None => return Ok(Found { records, next: None }),
                Some(found) if found == from => {}
                Some(found) => {
                    from = found;
                    continue 'next;
                }
            }
        }
        let id = id_at(from);
        reads.left = reads.left.saturating_sub(1);
        if let Some(entry) = reads.store.get(&keys::record(tenant, id)).await? {
            let record: Record = parse(&entry.value)?;
            // Read a moment later than the lists.
            if lets(filter, &record) {
                records.push(record);
            }
        }
        let Some(next) = from.checked_add(1) else { return Ok(Found { records, next: None }) };
        if records.len() >= limit {
            return Ok(Found { records, next: Some(id) });
        }
        from = next;
    }
}

async fn look_through(
    store: &dyn Store,
    tenant: &TenantId,
    filter: &Filter,
    (from, to): (At, At),
    limit: usize,
) -> Result<Found, StoreError> {
    let prefix = keys::records(tenant);
    let at_once = if filter.status.is_none() { limit } else { LOOK };
    let mut after = from.checked_sub(1).map(|at| keys::record(tenant, id_at(at)));
    let (mut records, mut looked) = (Vec::new(), 0);
    loop {
        let page = store.scan(&prefix, after.as_deref(), at_once).await?;
        for entry in &page {
            let record: Record = parse(&entry.value)?;
            let id = record.id;
            if at(id) > to {
                return Ok(Found { records, next: None });
            }
            looked += 1;
            if lets(filter, &record) {
                records.push(record);
            }
            if records.len() >= limit || looked >= MAX_LOOKED {
                return Ok(Found { records, next: Some(id) });
            }
        }
        match page.last() {
            Some(last) if page.len() == at_once => after = Some(last.key.clone()),
            _ => return Ok(Found { records, next: None }),
        }
    }
}
