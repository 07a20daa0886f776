//! Parking: a run that waits for long leaves memory. Its record says what it
//! waits for; whoever makes that happen puts it back in the same commit.
//!
//! No wake is lost: the commit that parks requires that what is waited for has
//! not come, and the commit that brings it requires that the run's entry in
//! the pending list, or its record, is as it was seen. One of the two is first
//! and the other looks again.

use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::run::{RunStatus, Wait};
use host_store::{Commit, StoreError};

use crate::attend::{Seen, What};
use crate::journal::Core;
use crate::ledger::Halt;
use crate::record::Record;
use crate::retry::Tries;
use crate::shelf::Shelf;
use crate::{Runs, keys};

/// How a run stood when something came for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roused {
    /// In memory, or about to be: it will see.
    Awake,
    /// Parked; the commit puts it back.
    Woken,
    /// Parked for something else, or by hand; it will see once it goes on.
    Held,
    /// Ended.
    Over,
    /// Not there.
    Gone,
}

/// When a parked run must be looked at even if nothing comes for it.
pub(crate) fn wakes_at(record: &Record) -> Option<Timestamp> {
    let waits = record.waits.iter().filter_map(|wait| match wait {
        Wait::Time { until } | Wait::Retry { until, .. } => Some(*until),
        Wait::Event { until, .. } => *until,
        Wait::Run { .. } => None,
    });
    waits.chain(record.deadline).min()
}

impl Core {
    /// Parks the run, unless something changed since `seen`.
    pub(crate) async fn park(&self, seen: &Seen) -> Result<bool, Halt> {
        self.flush().await?;
        let mut writer = self.writer.lock().await;
        if writer.lost {
            return Err(Halt::Broken(format!("the journal of {} could not be written", self.run)));
        }
        if writer.record.status != RunStatus::Accepted {
            return Err(Halt::Ordered);
        }
        if !self.is_blocked() || !self.only_waits() {
            return Ok(false);
        }
        let (tenant, run) = (&self.tenant, self.run);
        let mut record = writer.record.clone();
        record.status = RunStatus::Waiting;
        record.taken_by = None;
        record.fruitless = 0;
        record.waits = seen.waits.iter().map(|(number, what)| self.shown(*number, what)).collect();
        let mut commit = Commit::default().delete(keys::pending(tenant, run));
        for (_, what) in &seen.waits {
            match what {
                What::Time(_) | What::Retry(_) => {}
                What::Event { name, .. } => {
                    let key = keys::event(tenant, run, name);
                    commit = match seen.stale.get(name) {
                        Some(version) => commit.at(key, *version),
                        None => commit.absent(key),
                    };
                }
                What::Run(child) => commit = commit.absent(keys::ending(tenant, *child)),
            }
        }
        if let Some(at) = wakes_at(&record) {
            let whose = serde_json::to_vec(tenant).map_err(|error| Halt::Broken(error.to_string()))?;
            commit = commit.put(keys::wake(at, run), whose);
        }
        // Before the commit: its answer may be lost.
        if let Some(runs) = self.runs.upgrade() {
            runs.keep_waking();
        }
        match self.shelf.write_record_and(&mut record, writer.version, commit).await {
            Ok(version) => {
                (writer.record, writer.version) = (record, version);
                tracing::debug!(tenant.id = %tenant, run.id = %run, "run `{run}` is parked");
                Ok(true)
            }
            Err(StoreError::Conflict) => match self.shelf.record(tenant, run).await {
                Ok(Some((_, version))) if version == writer.version => Ok(false),
                _ => {
                    writer.lost = true;
                    Err(Halt::Again)
                }
            },
            Err(error) => {
                writer.lost = true;
                Err(Halt::Broken(format!("cannot park {run}: {error}")))
            }
        }
    }

    /// A wait as people see it.
    fn shown(&self, number: u32, what: &What) -> Wait {
        match what {
            What::Time(until) => Wait::Time { until: *until },
            What::Event { name, until } => {
                Wait::Event { name: name.to_string(), until: *until, url: self.event_url(number, name) }
            }
            What::Run(run) => Wait::Run { run: *run },
            What::Retry(until) => {
                let tried = self.tried.lock();
                let tries = tried.get(&number);
                let (why, tries) = (tries.map(Tries::why).unwrap_or_default(), tries.map_or(0, Tries::count));
                Wait::Retry { step: number, until: *until, tries, why }
            }
        }
    }
}

impl Runs {
    /// Adds to a commit that a run which waits for this goes on.
    pub(crate) async fn rouse(
        &self,
        tenant: &TenantId,
        run: RunId,
        commit: Commit,
        waits_for: impl Fn(&Wait) -> bool,
    ) -> Result<(Commit, Roused), StoreError> {
        let pending = keys::pending(tenant, run);
        if let Some(entry) = self.shelf.store.get(&pending).await? {
            return Ok((commit.at(pending, entry.version), Roused::Awake));
        }
        let Some((mut record, version)) = self.shelf.record(tenant, run).await? else {
            return Ok((commit, Roused::Gone));
        };
        let key = keys::record(tenant, run);
        let commit = commit.at(key, version);
        if record.status.is_over() {
            return Ok((commit, Roused::Over));
        }
        if record.status != RunStatus::Waiting || !record.waits.iter().any(waits_for) {
            return Ok((commit, Roused::Held));
        }
        let commit = match wakes_at(&record) {
            Some(at) => commit.delete(keys::wake(at, run)),
            None => commit,
        };
        record.status = RunStatus::Accepted;
        record.waits.clear();
        // As with a new run: this process is about to take it up.
        record.taken_by = Some(self.process);
        let commit = Shelf::with_record(&record, commit)?;
        Ok((commit.put(pending, Vec::new()), Roused::Woken))
    }

    /// A commit that roused a run is durable, or may be: its turn comes.
    pub(crate) fn roused(&self, tenant: &TenantId, run: RunId, roused: Roused) {
        if roused == Roused::Woken {
            self.places.wait_in_store(tenant, Some(run));
        }
    }
}
