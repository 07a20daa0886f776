//! The one writer: takes every commit that waits, decides them in order, and
//! makes them durable together.
//!
//! Hand-over: jobs come in by a bounded queue; each is answered once, after the
//! fsync that covers it, refusals included (they were decided against commits
//! that are durable only then). Full generations go to the [`super::mover`].
//!
//! Invariants
//! - Nothing else writes to the log.
//! - A group is one frame of the log: after a crash all of it is there or none.
//! - Order at the end of a group: fsync, note, visible and bells, answers.
//! - After any failure nothing is written any more.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::Drain;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::disk::Note;
use super::layout::{self, Ledger};
use super::log::{FULL, Log, OVERFULL};
use super::mover::Generation;
use super::recent::Change;
use super::shared::{Broken, Shared};
use super::tally::Difference;
use crate::holds::Hold;
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
    pub(super) log: Log,
    pub(super) note: Note,
    pub(super) ledger: Ledger,
    /// Where full generations go, and where it is said that one was moved.
    pub(super) generations: std::sync::mpsc::SyncSender<Generation>,
    pub(super) moved: std::sync::mpsc::Receiver<()>,
    /// A generation is on its way into the tree.
    pub(super) moving: bool,
}

/// A key as the store has it.
#[derive(Clone, Copy, Default)]
struct Seen {
    version: Option<Version>,
    /// The bytes of its value.
    size: usize,
    /// The generation before or the tree has it.
    below: bool,
}

/// Commits that become durable together.
#[derive(Default)]
struct Group {
    bytes: usize,
    /// Each key that was looked at, as the group leaves it.
    seen: HashMap<Bytes, Seen>,
    changes: BTreeMap<Bytes, Change>,
    commits: u64,
    /// What they make of how much there is.
    difference: Difference,
    /// Let go with the group: when its changes can be read.
    holds: Vec<Hold>,
    /// Who is answered what, in the same order. One verdict is missing if
    /// deciding it broke the store.
    answers: Vec<oneshot::Sender<Result<Version, StoreError>>>,
    verdicts: Vec<Result<Version, StoreError>>,
}

impl Writer {
    /// Works until the queue is closed and empty; then the tree has everything.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut taken = Vec::with_capacity(GROUP);
        while jobs.blocking_recv_many(&mut taken, GROUP) > 0 {
            let mut waiting = taken.drain(..).peekable();
            while waiting.peek().is_some() {
                self.next_group(&mut waiting);
            }
        }
        if self.shared.usable().is_ok()
            && let Err(broken) = self.turn().and_then(|()| self.wait_until_moved())
        {
            self.shared.break_down(broken);
        }
        if let Err(error) = self.note.sync() {
            tracing::warn!(%error, "the store's note of its last commit could not be synced at the end");
        }
    }

    /// Answers at least one of the waiting jobs. A job that is dropped
    /// unanswered is told why the store is broken.
    fn next_group(&mut self, waiting: &mut Peekable<Drain<'_, Job>>) {
        if self.shared.usable().is_err() {
            waiting.for_each(drop);
            return;
        }
        let mut group = Group::default();
        let before = self.ledger.version;
        let kept = catch_unwind(AssertUnwindSafe(|| {
            self.make_room()?;
            self.fill(&mut group, waiting)?;
            self.keep(&group, before)
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

    /// Decides one commit against the store and the commits before it in the group.
    fn decide(&mut self, group: &mut Group, commit: Commit) -> Result<Result<Version, StoreError>, Broken> {
        for require in &commit.require {
            let holds = match require {
                Require::Absent(key) => self.look(group, key)?.version.is_none(),
                Require::At(key, version) => self.look(group, key)?.version == Some(*version),
            };
            if !holds {
                return Ok(Err(StoreError::Conflict));
            }
        }
        self.ledger.version += 1;
        let version = self.ledger.version;
        for (key, value) in commit.put {
            let seen = self.look(group, &key)?;
            if let Some(old) = seen.version {
                self.ledger.remove(&key, old);
                group.difference.remove(&key, seen.size);
            }
            self.ledger.add(&key, version);
            group.difference.add(&key, value.len());
            group.bytes += key.len() + value.len();
            group.seen.insert(key.clone(), Seen { version: Some(version), size: value.len(), ..seen });
            group.changes.insert(key, Change { version, value: Some(value), below: seen.below });
        }
        for key in commit.delete {
            let seen = self.look(group, &key)?;
            if let Some(old) = seen.version {
                self.ledger.remove(&key, old);
                group.difference.remove(&key, seen.size);
                group.seen.insert(key.clone(), Seen { version: None, ..seen });
                group.changes.insert(key, Change { version, value: None, below: seen.below });
            }
        }
        group.holds.extend(commit.holds);
        group.commits += 1;
        Ok(Ok(version))
    }

    fn look(&self, group: &mut Group, key: &Bytes) -> Result<Seen, Broken> {
        if let Some(known) = group.seen.get(key) {
            return Ok(*known);
        }
        let recent = self.shared.recent.read();
        let as_left = |change: &Change, below| Seen {
            version: change.value.is_some().then_some(change.version),
            size: change.value.as_ref().map_or(0, Bytes::len),
            below,
        };
        let seen = if let Some(change) = recent.newest.get(key) {
            as_left(change, change.below)
        } else if let Some(change) = recent.moving.get(key) {
            as_left(change, true)
        } else {
            drop(recent);
            match self.shared.db()?.get(layout::tree_key(key))? {
                Some(value) => {
                    let version = layout::version_of(&value).ok_or_else(Broken::garbled)?;
                    Seen { version: Some(version), size: layout::value_size(&value), below: true }
                }
                None => Seen::default(),
            }
        };
        group.seen.insert(key.clone(), seen);
        Ok(seen)
    }

    /// Writes the group and waits until it is durable.
    fn keep(&mut self, group: &Group, before: Version) -> Result<(), Broken> {
        if group.commits == 0 {
            return Ok(()); // all were refused
        }
        let changes = group.changes.iter().map(|(key, change)| (key, change.version, change.value.as_ref()));
        self.log.append(before, self.ledger, changes)?;
        self.note.acknowledge(self.ledger.version)?;
        Ok(())
    }

    /// Begins a new generation if the current one is full and the tree can take it.
    fn make_room(&mut self) -> Result<(), Broken> {
        let size = self.log.size();
        if size < FULL {
            return Ok(());
        }
        if size >= OVERFULL {
            self.wait_until_moved()?;
        } else if self.moving && self.moved.try_recv().is_ok() {
            self.moving = false;
        }
        if self.moving { Ok(()) } else { self.turn() }
    }

    /// Hands the generation over and begins the next.
    fn turn(&mut self) -> Result<(), Broken> {
        self.wait_until_moved()?;
        if self.log.size() > 0 {
            let changes = self.shared.recent.write().turn();
            self.log.turn();
            let generation = Generation { changes, ledger: self.ledger };
            self.generations.send(generation).map_err(|_| Broken::stuck())?;
            self.moving = true;
        }
        Ok(())
    }

    fn wait_until_moved(&mut self) -> Result<(), Broken> {
        if self.moving {
            self.moved.recv().map_err(|_| Broken::stuck())?;
            self.moving = false;
        }
        Ok(())
    }

    fn publish(&self, group: Group) {
        if group.commits > 0 {
            self.shared.tallies.apply(group.difference);
            self.shared.fsyncs.fetch_add(1, Ordering::Relaxed);
            self.shared.commits.fetch_add(group.commits, Ordering::Relaxed);
            let changed: Vec<_> = group.changes.keys().cloned().collect();
            let mut recent = self.shared.recent.write();
            for (key, change) in group.changes {
                recent.put(key, change);
            }
            // Before anybody can read the change: see `bells`.
            self.shared.bells.ring(&changed);
        }
        for (answer, verdict) in group.answers.into_iter().zip(group.verdicts) {
            // A caller that stopped waiting has its commit all the same.
            let _ = answer.send(verdict);
        }
    }
}
