//! The one writer: takes every commit that waits, decides them in order, and
//! makes them durable together.
//!
//! Hand-over: jobs come in by a bounded queue; each is answered once, after the
//! fsync that covers it, refusals included (they were decided against commits
//! that are durable only then).
//!
//! Invariants
//! - Nothing else writes to the tree.
//! - A group is one sled batch: after a crash all of it is there or none.
//! - Order at the end of a group: fsync, note, bells, visible, answers.
//! - After any failure nothing is written any more.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::Drain;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::layout::{self, LEDGER, Ledger};
use super::shared::{Broken, Shared};
use crate::port::{Commit, Require, StoreError, Version};

/// The most commits that wait before `commit` itself waits: four full groups,
/// so the writer never runs dry, and callers beyond that feel how slow the disk is.
pub(super) const QUEUE: usize = 1024;
/// The most commits in one group: enough to share an fsync widely, few enough
/// that the first does not wait long for the last.
const GROUP: usize = 256;
/// A group takes no more commits when it holds this many bytes, so that its
/// write stays within a few milliseconds.
const GROUP_BYTES: usize = 4 << 20;

/// One commit and who waits for it.
pub(super) struct Job {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Version, StoreError>>,
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Disk,
    pub(super) ledger: Ledger,
}

/// Commits that become durable together.
#[derive(Default)]
struct Group {
    batch: sled::Batch,
    bytes: usize,
    /// The version of each key that was looked at, as the group leaves it.
    seen: HashMap<Bytes, Option<Version>>,
    changed: Vec<Bytes>,
    deleted: BTreeSet<Bytes>,
    commits: u64,
    /// Who is answered what, in the same order. One verdict is missing if
    /// deciding it broke the store.
    answers: Vec<oneshot::Sender<Result<Version, StoreError>>>,
    verdicts: Vec<Result<Version, StoreError>>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut taken = Vec::with_capacity(GROUP);
        while jobs.blocking_recv_many(&mut taken, GROUP) > 0 {
            let mut waiting = taken.drain(..).peekable();
            while waiting.peek().is_some() {
                self.next_group(&mut waiting);
            }
        }
        if let Err(error) = self.disk.sync_acknowledged() {
            tracing::warn!(%error, "the store's note of its last commit could not be synced at the end");
        }
    }

    /// Answers at least one of the waiting jobs. A job that is dropped
    /// unanswered is told why the store is broken.
    fn next_group(&mut self, waiting: &mut Peekable<Drain<'_, Job>>) {
        if self.shared.broken().is_some() {
            waiting.for_each(drop);
            return;
        }
        let mut group = Group::default();
        let kept = catch_unwind(AssertUnwindSafe(|| {
            self.fill(&mut group, waiting)?;
            self.keep(&mut group)
        }));
        match kept {
            Ok(Ok(())) => self.publish(group),
            Ok(Err(broken)) => self.shared.break_down(broken),
            Err(_) => self.shared.break_down(Broken::panicked()),
        }
    }

    fn fill(&mut self, group: &mut Group, waiting: &mut Peekable<Drain<'_, Job>>) -> Result<(), Broken> {
        while group.bytes < GROUP_BYTES
            && let Some(Job { commit, answer }) = waiting.next()
        {
            group.answers.push(answer);
            let verdict = self.decide(group, commit)?;
            group.verdicts.push(verdict);
        }
        Ok(())
    }

    /// Decides one commit against the tree and the commits before it in the group.
    fn decide(&mut self, group: &mut Group, commit: Commit) -> Result<Result<Version, StoreError>, Broken> {
        for require in &commit.require {
            let holds = match require {
                Require::Absent(key) => self.version_at(group, key)?.is_none(),
                Require::At(key, version) => self.version_at(group, key)? == Some(*version),
            };
            if !holds {
                return Ok(Err(StoreError::Conflict));
            }
        }
        self.ledger.version += 1;
        let version = self.ledger.version;
        for (key, value) in commit.put {
            if let Some(old) = self.version_at(group, &key)? {
                self.ledger.remove(&key, old);
            }
            self.ledger.add(&key, version);
            group.bytes += key.len() + value.len();
            group.batch.insert(layout::tree_key(&key), layout::tree_value(version, &value));
            group.seen.insert(key.clone(), Some(version));
            group.changed.push(key);
        }
        for key in commit.delete {
            if let Some(old) = self.version_at(group, &key)? {
                self.ledger.remove(&key, old);
                group.batch.remove(layout::tree_key(&key));
                group.seen.insert(key.clone(), None);
                group.deleted.insert(key.clone());
                group.changed.push(key);
            }
        }
        group.commits += 1;
        Ok(Ok(version))
    }

    fn version_at(&self, group: &mut Group, key: &Bytes) -> Result<Option<Version>, Broken> {
        if let Some(known) = group.seen.get(key) {
            return Ok(*known);
        }
        let found = match self.shared.db()?.get(layout::tree_key(key))? {
            Some(value) => Some(layout::version_of(&value).ok_or_else(Broken::garbled)?),
            None => None,
        };
        group.seen.insert(key.clone(), found);
        Ok(found)
    }

    /// Writes the group and waits until it is durable.
    fn keep(&mut self, group: &mut Group) -> Result<(), Broken> {
        if group.commits == 0 {
            return Ok(()); // all were refused
        }
        let mut batch = std::mem::take(&mut group.batch);
        batch.insert(LEDGER, self.ledger.to_bytes());
        {
            let mut in_flight = self.shared.in_flight.write();
            in_flight.up_to = self.ledger.version;
            in_flight.deleted = std::mem::take(&mut group.deleted);
            self.shared.db()?.apply_batch(batch)?;
        }
        self.shared.db()?.flush()?;
        self.disk.sync()?;
        self.disk.acknowledge(self.ledger.version)?;
        Ok(())
    }

    fn publish(&self, group: Group) {
        if group.commits > 0 {
            self.shared.fsyncs.fetch_add(1, Ordering::Relaxed);
            self.shared.commits.fetch_add(group.commits, Ordering::Relaxed);
            self.shared.bells.ring(&group.changed);
            self.shared.durable(self.ledger.version);
        }
        for (answer, verdict) in group.answers.into_iter().zip(group.verdicts) {
            // A caller that stopped waiting has its commit all the same.
            let _ = answer.send(verdict);
        }
    }
}
