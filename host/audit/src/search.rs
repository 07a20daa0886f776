//! Reading: newest first through one chain or all, or whole chains as lines.

use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use host_model::clock::Timestamp;
use host_store::port::MAX_PAGE;
use host_store::{StoreError, key};

use crate::Audit;
use crate::chain::{Chain, Head, all_heads};
use crate::entry::Entry;

/// How many entries one page of a search looks at, so that a search for what
/// is rare does not read the whole log at once. Such a page is short.
const MAX_LOOKED: usize = 5_000;
/// How many entries of a chain are read at once.
const PAGE: u64 = 100;
/// How many lines of an export are read at once: at most some 4 MiB.
const LINES: usize = 200;

/// Whose chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// This one.
    One(Chain),
}

/// What is looked for: all that is said must hold.
#[derive(Clone, Debug)]
pub struct Search {
    /// Whose chains.
    pub which: Which,
    /// At this instant or after.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// By whom: a token's id or note, `host` or `nobody`.
    pub actor: Option<String>,
    /// Which operation.
    pub operation: Option<String>,
    /// What kind of thing.
    pub kind: Option<String>,
    /// Which thing.
    pub name: Option<String>,
    /// Older than this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

impl Search {
    fn finds(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        self.actor.as_ref().is_none_or(|actor| entry.by.is(actor))
            && is(&self.operation, &entry.operation)
            && is(&self.kind, &entry.kind)
            && is(&self.name, &entry.name)
    }

    /// Where to begin: before this.
    fn start(&self) -> Option<Cursor> {
        let until = self.until.map(|at| Cursor { at: at.timestamp_millis(), chain: Chain::Host, seq: 0 });
        match (until, self.after.clone()) {
            (Some(until), Some(after)) => Some(until.min(after)),
            (until, after) => until.or(after),
        }
    }
}

/// A place in the list of all entries, newest first. All chains have one order:
/// by time, then by chain, then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// In milliseconds.
    at: i64,
    chain: Chain,
    seq: u64,
}

impl Cursor {
    fn of(entry: &Entry) -> Self {
        Self { at: entry.at.timestamp_millis(), chain: entry.chain.clone(), seq: entry.seq }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.chain, self.seq)
    }
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no place in a list of the audit log")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut parts = text.split('.');
        let (at, chain, seq) = (parts.next(), parts.next(), parts.next());
        let whole = (at, chain, seq, parts.next());
        let (Some(at), Some(chain), Some(seq), None) = whole else { return Err(BadCursor) };
        let at = at.parse().map_err(|_| BadCursor)?;
        let seq = seq.parse().map_err(|_| BadCursor)?;
        Ok(Self { at, chain: chain.parse().map_err(|_| BadCursor)?, seq })
    }
}

/// A page of what was found, newest first.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins. A page may be short, even empty, and not the last.
    pub next: Option<Cursor>,
}

/// Lines of an export, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Each as it is stored: its SHA-256 is what the next one names as `prev`.
    pub lines: Vec<Bytes>,
    /// The number of the last one; `None` at the chain's end.
    pub next: Option<u64>,
}

/// One chain on the way back through it.
#[derive(Debug)]
struct Walk {
    chain: Chain,
    /// The newest that may come next.
    at: Cursor,
    /// Read already, newest first.
    ready: VecDeque<Entry>,
    first: u64,
}

impl PartialEq for Walk {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Walk {}

impl PartialOrd for Walk {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Walk {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Audit {
    /// The heads of all chains, in order of their names.
    pub async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let prefix = all_heads().prefix();
        let mut heads: Vec<Head> = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store.scan(&prefix, after.as_deref(), MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(heads) };
            after = Some(last.key.clone());
            for entry in &page {
                heads.push(Head::decode(&entry.value)?);
            }
        }
    }

    /// The heads of these chains.
    pub async fn heads_in(&self, which: &Which) -> Result<Vec<Head>, StoreError> {
        match which {
            Which::All => self.heads().await,
            Which::One(chain) => {
                let (head, version) = self.head(chain).await?;
                Ok(version.map(|_| head).into_iter().collect())
            }
        }
    }

    /// A page of the entries that are looked for. One that cannot be read is
    /// passed over: that is for whoever verifies the chain.
    pub async fn search(&self, search: &Search) -> Result<Found, StoreError> {
        let start = search.start();
        let mut walks = BinaryHeap::new();
        for head in self.heads_in(&search.which).await? {
            walks.extend(self.walk(head, start.as_ref()).await?);
        }
        let mut found = Found::default();
        let mut looked = 0;
        while let Some(mut walk) = walks.pop() {
            let Some(entry) = walk.ready.pop_front() else {
                if self.read_back(&mut walk).await? {
                    walks.push(walk);
                }
                continue;
            };
            if search.since.is_some_and(|since| entry.at < since) {
                continue; // and with it all that is older in this chain
            }
            let here = Cursor::of(&entry);
            match walk.ready.front() {
                Some(next) => walk.at = Cursor::of(next),
                None => walk.at.seq = entry.seq.saturating_sub(1),
            }
            if walk.at.seq >= walk.first {
                walks.push(walk);
            }
            if search.finds(&entry) {
                found.entries.push(entry);
            }
            looked += 1;
            if found.entries.len() >= search.limit || looked >= MAX_LOOKED {
                found.next = (!walks.is_empty()).then_some(here);
                break;
            }
        }
        Ok(found)
    }

    /// A chain, from its newest entry that is older than `start`.
    async fn walk(&self, head: Head, start: Option<&Cursor>) -> Result<Option<Walk>, StoreError> {
        let newest = Cursor { at: head.at.timestamp_millis(), chain: head.chain.clone(), seq: head.seq };
        let (chain, first) = (head.chain.clone(), head.first);
        let at = match start {
            Some(start) if newest >= *start => {
                let older = |entry: &Entry| Cursor::of(entry) < *start;
                let seq = self.partition(&head, older).await?;
                Cursor { seq: seq.saturating_sub(1), ..newest }
            }
            _ => newest,
        };
        Ok((at.seq >= first).then(|| Walk { chain, at, ready: VecDeque::new(), first }))
    }

    /// Reads the next entries of a chain, newest first; `false` at its beginning.
    async fn read_back(&self, walk: &mut Walk) -> Result<bool, StoreError> {
        let newest = walk.at.seq;
        let before = newest.saturating_sub(PAGE).max(walk.first - 1);
        let limit = usize::try_from(newest - before).unwrap_or(0);
        if limit == 0 {
            return Ok(false);
        }
        let prefix = walk.chain.entries().prefix();
        let page = self.store.scan(&prefix, Some(&walk.chain.entry(before)), limit).await?;
        let in_its_place = |stored: &host_store::Entry| {
            let entry: Entry = serde_json::from_slice(&stored.value).ok()?;
            let seq = number(&prefix, &stored.key)?;
            (entry.chain == walk.chain && entry.seq == seq && seq <= newest).then_some(entry)
        };
        walk.ready = page.iter().rev().filter_map(in_its_place).collect();
        match walk.ready.front() {
            Some(entry) => walk.at = Cursor::of(entry),
            None => walk.at.seq = before, // all of it is damaged
        }
        Ok(walk.at.seq >= walk.first)
    }

    /// The number of the first entry at this instant or after; one past the last if none is.
    pub(crate) async fn first_not_before(&self, head: &Head, at: Timestamp) -> Result<u64, StoreError> {
        self.partition(head, |entry| entry.at < at).await
    }

    /// The number of the first entry that is not `older`, of a chain in which
    /// those that are come first. One that cannot be read counts as newer.
    async fn partition(&self, head: &Head, older: impl Fn(&Entry) -> bool) -> Result<u64, StoreError> {
        let (mut low, mut high) = (head.first, head.seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.store.get(&head.chain.entry(middle)).await?;
            let entry = entry.and_then(|entry| serde_json::from_slice::<Entry>(&entry.value).ok());
            if entry.is_some_and(|entry| older(&entry)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The number after which an export begins that is to have what was since then.
    pub async fn before(&self, chain: &Chain, since: Option<Timestamp>) -> Result<u64, StoreError> {
        let (head, _) = self.head(chain).await?;
        match since {
            Some(since) => Ok(self.first_not_before(&head, since).await?.saturating_sub(1)),
            None => Ok(0),
        }
    }

    /// Lines of a chain, after the one with this number.
    pub async fn lines(&self, chain: &Chain, after: u64) -> Result<Lines, StoreError> {
        let prefix = chain.entries().prefix();
        let page = self.store.scan(&prefix, Some(&chain.entry(after)), LINES).await?;
        let last = page.last().and_then(|entry| number(&prefix, &entry.key));
        let next = last.filter(|_| page.len() == LINES);
        Ok(Lines { lines: page.into_iter().map(|entry| entry.value).collect(), next })
    }
}

/// The number in an entry's key.
pub(crate) fn number(prefix: &[u8], key: &[u8]) -> Option<u64> {
    key::tail(prefix, key)?.try_into().ok().map(u64::from_be_bytes)
}
