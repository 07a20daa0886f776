//! The dead-letter list: runs that failed or diverged and that nobody has
//! replayed or dismissed. It is an index of its own, so that looking at it
//! does not look through all runs.
//!
//! Invariants
//! - A run is put on it in the commit of its end, and taken off it in the
//!   commit that replays or dismisses it.
//! - A dry run or a step test is never on it: it was to show something, not to
//!   do it.

use std::sync::Arc;

use futures::future::try_join_all;
use host_model::id::RunId;
use host_model::name::{TenantId, WorkflowName};
use host_model::run::{DeadLetter, Run, RunStatus};
use host_store::{Commit, StoreError};

use crate::query::{ReadError, reading};
use crate::record::Record;
use crate::repair::By;
use crate::repair::trace;
use crate::shelf::bytes_of;
use crate::{Runs, keys};

/// The most letters of a page.
const MAX_PAGE: usize = 100;
/// How many letters a filter looks at for one page; then the page ends,
/// perhaps with nothing in it, and says where to go on.
const MAX_LOOKED: usize = 2_000;
/// How many are read at a time.
const LOOK: usize = 100;
/// How often a dismissal is tried again that something was quicker than.
const TRIES: usize = 20;

/// Which letters; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// Only of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Only those that failed like this: `retry`, `deadline`, `diverged`.
    pub kind: Option<String>,
}

/// A page of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Pass as `after` for the next page; `None` at the end. A page may be
    /// short, even empty, before the end.
    pub next: Option<RunId>,
}

/// Why a run was not taken off the list.
#[derive(Debug, thiserror::Error)]
pub enum DismissError {
    /// There is no such run of this tenant.
    #[error("there is no run {0}")]
    Absent(RunId),
    /// It is not on the list.
    #[error("{run} is not on the dead-letter list: it is {}{}", .status.as_str(), .replayed_by.map(|by| format!(", replayed as {by}")).unwrap_or_default())]
    NotListed {
        /// Which run.
        run: RunId,
        /// Where it stands.
        status: RunStatus,
        /// The run that repeats it.
        replayed_by: Option<RunId>,
    },
    /// The run changed again and again meanwhile.
    #[error("cannot dismiss {0}: it changed {TRIES} times meanwhile; try again")]
    Contended(RunId),
    /// The store failed; whether it was done is not known: look at the list.
    #[error("cannot write it down")]
    Store(#[from] StoreError),
}

impl Letters {
    fn let_through(&self, record: &Record) -> bool {
        let kind = record.failure.as_ref().map(|failure| failure.kind.as_str());
        self.workflow.as_ref().is_none_or(|workflow| *workflow == record.workflow)
            && self.kind.as_deref().is_none_or(|wanted| kind == Some(wanted))
    }
}

/// Puts a run that ends on the list, if it belongs there.
pub(crate) fn listed(record: &Record, commit: Commit) -> Commit {
    let dry = record.replay_of.as_ref().is_some_and(|replay| replay.dry);
    match record.status {
        RunStatus::Failed | RunStatus::Diverged if !dry && record.test.is_none() => {
            commit.put(keys::dead(&record.tenant, record.id), Vec::new())
        }
        _ => commit,
    }
}

impl Runs {
    /// A page of the tenant's dead letters, newest first.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        letters: &Letters,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<LetterPage, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let page = self.read_letters(tenant, letters, after, limit).await;
        page.map_err(reading(format_args!("the dead letters of `{tenant}`")))
    }

    async fn read_letters(
        &self,
        tenant: &TenantId,
        wanted: &Letters,
        mut after: Option<RunId>,
        limit: usize,
    ) -> Result<LetterPage, StoreError> {
        let at_once = if *wanted == Letters::default() { limit } else { LOOK };
        let (mut letters, mut looked) = (Vec::new(), 0);
        loop {
            let from = after.map(|id| keys::dead(tenant, id));
            let page = self.shelf.store.scan(&keys::all_dead(tenant), from.as_deref(), at_once).await?;
            let ids: Vec<_> = page.iter().filter_map(|entry| keys::parse_dead(tenant, &entry.key)).collect();
            let records = try_join_all(ids.iter().map(|id| self.shelf.record(tenant, *id))).await?;
            for (id, record) in ids.into_iter().zip(records) {
                after = Some(id);
                looked += 1;
                // Taken off the list since it was read.
                let Some((record, _)) = record.filter(|(record, _)| wanted.let_through(record)) else {
                    continue;
                };
                letters.push(self.letter(record).await?);
                if letters.len() == limit {
                    return Ok(LetterPage { letters, next: after });
                }
            }
            if page.len() < at_once {
                return Ok(LetterPage { letters, next: None });
            }
            if looked >= MAX_LOOKED {
                return Ok(LetterPage { letters, next: after });
            }
        }
    }

    /// A run as a letter: with the tries of the step that failed.
    async fn letter(&self, record: Record) -> Result<DeadLetter, StoreError> {
        let step = record.failure.as_ref().and_then(|failure| failure.step.as_ref()).map(|step| step.number);
        let (mut tries, mut gave_up) = (Vec::new(), None);
        if let Some(number) = step {
            match self.shelf.step_record(&record.tenant, record.id, number).await? {
                Some(step) => (tries, gave_up) = (step.tries, step.gave_up),
                // It was backing off when the run was ended.
                None => {
                    let open = self.shelf.tries(&record.tenant, record.id).await?;
                    let open = open.into_iter().find(|tries| tries.step == number);
                    tries = open.map(|tries| tries.tries).unwrap_or_default();
                }
            }
        }
        Ok(DeadLetter { run: self.in_a_list(record).await?, tries, gave_up })
    }

    /// Takes a run off the list, and notes who did and why in the same commit.
    pub async fn dismiss(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        by: By,
    ) -> Result<Run, DismissError> {
        let (key, record_key) = (keys::dead(tenant, run), keys::record(tenant, run));
        for _ in 0..TRIES {
            let found = self.shelf.record(tenant, run).await?;
            let (mut record, version) = found.ok_or(DismissError::Absent(run))?;
            let Some(entry) = self.shelf.store.get(&key).await? else {
                let (status, replayed_by) = (record.status, record.replayed_by);
                return Err(DismissError::NotListed { run, status, replayed_by });
            };
            trace(&mut record, self.clock.now(), "dismissed".to_owned(), &by);
            let commit = Commit::default()
                .at(key.clone(), entry.version)
                .delete(key.clone())
                .at(record_key.clone(), version)
                .put(record_key.clone(), bytes_of(&record)?);
            match self.shelf.store.commit(commit).await {
                Ok(_) => {
                    tracing::info!(
                        tenant.id = %tenant, run.id = %run,
                        "run `{run}` was taken off the dead-letter list {}", by.said(),
                    );
                    return self.shelf.run(tenant, run).await?.ok_or(DismissError::Absent(run));
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(DismissError::Contended(run))
    }
}
