//! What is done and not yet written: the end of a run's journal, in memory.
//! Pure; [`crate::perform`] writes it.
//!
//! Invariants
//! - The order of the queue is the order of completion, the order shown and
//!   the order written.
//! - What is in the queue has been shown to nobody but the guest, and nothing
//!   that the guest did after it has left the host.

use std::collections::{BTreeMap, VecDeque};

use host_model::id::RunId;
use host_model::outcome::CallError;
use host_model::search::MAX_KEYS;
use host_store::Commit;

use crate::record::{Record, StepRecord};
use crate::retry::Tried;

/// The most calls that undo one run; said in `wit/`.
pub(crate) const MAX_UNDO: usize = 100;

/// The most steps of one commit: two changes each (eight if its texts are
/// blobs), and what they bring along, stay far below what the store takes.
pub(crate) const MAX_BATCH: usize = 64;

/// A commit takes no further step when it has so many bytes of texts: enough
/// for 64 usual steps, little for the store to write at once.
const MAX_BATCH_BYTES: usize = 256 << 10;

/// The most changes that steps of one commit bring along: a publication to many.
const MAX_BATCH_CHANGES: usize = 1_200;

/// A step that is done.
pub(crate) struct Done {
    pub(crate) step: StepRecord,
    /// The kind of its failure, if it failed.
    pub(crate) failure: Option<&'static str>,
    pub(crate) also: Also,
}

/// Something to be written.
pub(crate) enum Entry {
    /// A step that is done.
    Done(Box<Done>),
    /// A try of a step that is not.
    Tried(Box<Tried>),
}

/// What goes into the commit of a step besides it.
#[derive(Default)]
pub(crate) struct Also {
    /// Further changes, with what they require.
    pub(crate) commit: Commit,
    /// Runs that are accepted by it.
    pub(crate) starts: Vec<RunId>,
    /// A business key that it sets.
    pub(crate) key: Option<(String, String)>,
    /// The early answer that it gives.
    pub(crate) reply: Option<String>,
}

/// The queue, and what the record will say once it is written.
pub(crate) struct Tail {
    completed: u32,
    keys: BTreeMap<String, String>,
    replied: bool,
    undo: usize,
    retries: u32,
    queue: VecDeque<Entry>,
}

impl Tail {
    /// After what is written. `undo` is how many calls undo the run so far.
    pub(crate) fn after(record: &Record, undo: usize) -> Self {
        let (completed, keys, replied) = (record.steps, record.keys.clone(), record.replied);
        Self { completed, keys, replied, undo, retries: record.retries, queue: VecDeque::new() }
    }

    /// The place of the next step in the order of completion.
    pub(crate) fn completed(&self) -> u32 {
        self.completed
    }

    /// Sets a business key, if there is room for it.
    pub(crate) fn set_key(&mut self, name: &str, value: &str) -> Result<(), CallError> {
        if !self.keys.contains_key(name) && self.keys.len() >= MAX_KEYS {
            let set: Vec<_> = self.keys.keys().map(|name| format!("`{name}`")).collect();
            return Err(CallError::InvalidInput(format!(
                "a run has at most {MAX_KEYS} business keys, this one has {}; `{name}` is one more",
                set.join(", ")
            )));
        }
        self.keys.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Whether this reply is the first.
    pub(crate) fn reply(&mut self) -> bool {
        !std::mem::replace(&mut self.replied, true)
    }

    /// Counts a call that undoes the run; `false` if there are too many.
    pub(crate) fn undo(&mut self) -> bool {
        self.undo += 1;
        self.undo <= MAX_UNDO
    }

    /// Counts a further try; `false` if the run has had all that it may have.
    pub(crate) fn retry(&mut self, per_run: u32) -> bool {
        let may = self.retries < per_run;
        self.retries += u32::from(may);
        may
    }

    /// Adds a step, the last to be done.
    pub(crate) fn push(&mut self, done: Done) {
        self.completed += 1;
        self.queue.push_back(Entry::Done(Box::new(done)));
    }

    /// Adds a try.
    pub(crate) fn tried(&mut self, tried: Box<Tried>) {
        self.queue.push_back(Entry::Tried(tried));
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether no more should come before some is written.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_BATCH
    }

    /// Puts back what was taken last.
    pub(crate) fn put_back(&mut self, batch: Vec<Entry>) {
        batch.into_iter().rev().for_each(|entry| self.queue.push_front(entry));
    }

    /// What the next commit writes, oldest first; one at least, if there is one.
    pub(crate) fn take(&mut self) -> Vec<Entry> {
        let (mut bytes, mut changes) = (0, 0);
        let mut batch = Vec::new();
        while let Some(next) = self.queue.front() {
            match next {
                Entry::Done(done) => {
                    bytes += done.step.bytes();
                    changes += done.also.commit.changes();
                }
                Entry::Tried(tried) => bytes += tried.bytes(),
            }
            let too_much = bytes > MAX_BATCH_BYTES || changes > MAX_BATCH_CHANGES || batch.len() >= MAX_BATCH;
            if too_much && !batch.is_empty() {
                break;
            }
            batch.extend(self.queue.pop_front());
        }
        batch
    }
}
