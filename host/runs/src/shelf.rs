//! The runs' place in the store: typed reads and writes, and the blobs behind
//! them.
//!
//! Invariants
//! - A blob is durable before the commit that names it, and held until then.
//! - That commit also writes that the run has it: a blob that some run has stays.

use std::sync::Arc;

use bytes::Bytes;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::outcome::{LogLine, Outcome};
use host_model::run::{Effect, Run, Step};
use host_store::{BlobError, Blobs, Commit, MAX_VALUE, Store, StoreError, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys;
use crate::ledger::MAX_PENDING;
use crate::record::{Did, Ending, Given, Payload, Record, Replied, Spills, StepRecord};
use crate::repair::undoes;
use crate::retry::Tries;
use crate::search::{Posted, repost};

/// How many steps are read at a time: 4 MiB at most.
pub(crate) const PAGE: usize = 64;

/// The store and the blobs, as runs use them.
#[derive(Clone)]
pub(crate) struct Shelf {
    pub(crate) store: Arc<dyn Store>,
    /// Where the runs' texts are that fit no value. Nothing else is there, and
    /// what no run has is removed.
    pub(crate) payloads: Blobs,
    /// Everybody's blobs: the definitions of workflows, and the texts that runs
    /// stored before these had a place of their own. Nothing is removed there.
    pub(crate) blobs: Blobs,
}

impl Shelf {
    /// Adds a value of a run to a commit, and what keeps the blobs that it
    /// names. Its largest texts move into blobs until it fits the store.
    pub(crate) async fn put(
        &self,
        mut commit: Commit,
        (tenant, run): (&TenantId, RunId),
        key: Bytes,
        value: &mut impl Spills,
    ) -> Result<Commit, StoreError> {
        let mut spilled = Vec::new();
        let bytes = loop {
            let bytes = bytes_of(&*value)?;
            if bytes.len() <= MAX_VALUE {
                break bytes;
            }
            let size = |payload: &&mut Payload| match payload {
                Payload::Here(text) => text.len(),
                Payload::Blob(_) => 0,
            };
            let largest = value.payloads().into_iter().max_by_key(size);
            let Some(payload @ Payload::Here(_)) = largest else {
                return Err(StoreError::TooLarge {
                    what: "value bytes",
                    size: bytes.len(),
                    limit: MAX_VALUE,
                });
            };
            if let Payload::Here(text) = payload {
                let size = text.len() as u64;
                let hold = self.payloads.put_held(std::mem::take(text).into()).await.map_err(blob_failed)?;
                *payload = Payload::Blob(hold.digest());
                spilled.push((hold.digest(), size));
                commit = commit.hold(hold);
            }
        };
        for payload in value.payloads() {
            if let Payload::Blob(digest) = payload {
                let known = spilled.iter().find(|(it, _)| it == digest).map(|(_, size)| *size);
                let size = match known {
                    Some(size) => size,
                    None => self.payloads.size(digest).await.map_err(blob_failed)?.unwrap_or(0),
                };
                let whose = keys::blob(tenant, run, digest, size);
                // Another value of the commit may name the same.
                if commit.put.iter().all(|(key, _)| *key != whose) {
                    let user = keys::blob_user(digest, tenant, run);
                    commit = commit.put(whose, Bytes::new()).put(user, Bytes::new());
                }
            }
        }
        Ok(commit.put(key, bytes))
    }

    /// The text that a workflow was set up with.
    pub(crate) async fn definition(&self, digest: &Digest) -> Result<String, StoreError> {
        read_text(digest, self.blobs.get(digest).await)
    }

    /// The text of a payload.
    pub(crate) async fn text(&self, payload: Payload) -> Result<String, StoreError> {
        match payload {
            Payload::Here(text) => Ok(text),
            Payload::Blob(digest) => match self.payloads.get(&digest).await {
                Ok(None) => read_text(&digest, self.blobs.get(&digest).await),
                found => read_text(&digest, found),
            },
        }
    }

    /// A payload that is JSON of `T`.
    pub(crate) async fn json<T: DeserializeOwned>(&self, payload: Payload) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(payload).await?).map_err(unreadable)
    }

    /// A value and when it last changed.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        key: &[u8],
    ) -> Result<Option<(T, Version)>, StoreError> {
        match self.store.get(key).await? {
            Some(entry) => Ok(Some((parse(&entry.value)?, entry.version))),
            None => Ok(None),
        }
    }

    /// The run's record and when it last changed.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        id: RunId,
    ) -> Result<Option<(Record, Version)>, StoreError> {
        let found = self.read::<Record>(&keys::record(tenant, id)).await?;
        Ok(found.map(|(mut record, version)| {
            record.posted = Posted::of(&record);
            (record, version)
        }))
    }

    /// What the run started with.
    pub(crate) async fn given(&self, tenant: &TenantId, id: RunId) -> Result<Given, StoreError> {
        match self.read(&keys::given(tenant, id)).await? {
            Some((given, _)) => Ok(given),
            None => Err(StoreError::Engine(format!("the input of {id} is gone").into())),
        }
    }

    /// How the run ended, if it has, and its log.
    pub(crate) async fn ending(
        &self,
        tenant: &TenantId,
        id: RunId,
    ) -> Result<Option<(Outcome<String>, Payload)>, StoreError> {
        match self.read::<Ending>(&keys::ending(tenant, id)).await? {
            Some((ending, _)) => Ok(Some((self.json(ending.outcome).await?, ending.log))),
            None => Ok(None),
        }
    }

    /// The whole run.
    pub(crate) async fn run(&self, tenant: &TenantId, id: RunId) -> Result<Option<Run>, StoreError> {
        let Some((record, _)) = self.record(tenant, id).await? else { return Ok(None) };
        let data = self.text(self.given(tenant, id).await?.data).await?;
        let reply = if record.replied { self.reply(tenant, id).await? } else { None };
        if record.finished_at.is_none() {
            // Its end may have been written since the record was read: not half of it.
            return Ok(Some(Run { reply, ..record.into_run(data, None, Vec::new()) }));
        }
        let (outcome, log) = match self.ending(tenant, id).await? {
            Some((outcome, log)) => (Some(outcome), self.json::<Vec<LogLine>>(log).await?),
            None => (None, Vec::new()),
        };
        Ok(Some(Run { reply, ..record.into_run(data, outcome, log) }))
    }

    /// One step as it is stored.
    pub(crate) async fn step_record(
        &self,
        tenant: &TenantId,
        id: RunId,
        number: u32,
    ) -> Result<Option<StepRecord>, StoreError> {
        Ok(self.read(&keys::step(tenant, id, number)).await?.map(|(step, _)| step))
    }

    /// Steps after `after` by number, as they are stored, at most `limit`.
    pub(crate) async fn step_records(
        &self,
        tenant: &TenantId,
        id: RunId,
        after: Option<u32>,
        limit: usize,
    ) -> Result<Vec<StepRecord>, StoreError> {
        let after = after.map(|number| keys::step(tenant, id, number));
        let page = self.store.scan(&keys::steps(tenant, id), after.as_deref(), limit).await?;
        page.iter().map(|entry| parse(&entry.value)).collect()
    }

    /// What `keep` takes of each of the run's own steps and its outcome, in the
    /// order asked: of all but those that undo it.
    pub(crate) async fn of_own_steps<T>(
        &self,
        tenant: &TenantId,
        id: RunId,
        keep: impl Fn(&StepRecord, Outcome<String>) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut kept, mut after) = (Vec::new(), None);
        loop {
            let page = self.step_records(tenant, id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(kept) };
            after = Some(last.number);
            for step in page.iter().filter(|step| !undoes(step.number)) {
                kept.extend(keep(step, self.json(step.outcome.clone()).await?));
            }
        }
    }

    /// A stored step as it is shown.
    pub(crate) async fn step(&self, stored: StepRecord) -> Result<Step, StoreError> {
        Ok(Step {
            number: stored.number,
            completed: stored.completed,
            effect: match stored.did {
                Did::Call { role, connection, endpoint, input } => {
                    Effect::Call { role, connection, endpoint, input: self.text(input).await? }
                }
                Did::Sleep { ms } => Effect::Sleep { ms },
                Did::SleepUntil { time_ms } => Effect::SleepUntil { time_ms },
                Did::Event { name, timeout_ms } => Effect::Event { name, timeout_ms },
                Did::Workflow { workflow, run, input } => {
                    Effect::Workflow { workflow, run, input: self.text(input).await? }
                }
                Did::Publish { topic, data, runs } => {
                    Effect::Publish { topic, data: self.text(data).await?, runs }
                }
                Did::Reply { answer } => Effect::Reply { answer: self.text(answer).await? },
                Did::SetKey { name, value } => Effect::SetKey { name, value },
                Did::OnCancel { role, endpoint, input } => {
                    Effect::OnCancel { role, endpoint, input: self.text(input).await? }
                }
            },
            idempotency_key: stored.idempotency_key,
            started_at: stored.started_at,
            finished_at: stored.finished_at,
            outcome: self.json(stored.outcome).await?,
            usage: stored.usage,
            log: self.json(stored.log).await?,
            tries: stored.tries,
            gave_up: stored.gave_up,
            place: stored.place,
        })
    }

    /// The tries of a run's steps that are not done.
    pub(crate) async fn tries(&self, tenant: &TenantId, id: RunId) -> Result<Vec<Tries>, StoreError> {
        // No more than steps can be going on at once.
        let page = self.store.scan(&keys::all_tries(tenant, id), None, MAX_PENDING as usize).await?;
        page.iter().map(|entry| parse(&entry.value)).collect()
    }

    /// Writes the record alone, if it is unchanged since `version`.
    pub(crate) async fn write_record(
        &self,
        record: &mut Record,
        version: Version,
    ) -> Result<Version, StoreError> {
        self.write_record_and(record, version, Commit::default()).await
    }

    /// The same, with more in the commit.
    pub(crate) async fn write_record_and(
        &self,
        record: &mut Record,
        version: Version,
        more: Commit,
    ) -> Result<Version, StoreError> {
        let key = keys::record(&record.tenant, record.id);
        let version = self.store.commit(Self::with_record(record, more.at(key, version))?).await?;
        record.posted = Posted::of(record);
        Ok(version)
    }

    /// Adds a record to a commit, and what it is found by.
    pub(crate) fn with_record(record: &Record, commit: Commit) -> Result<Commit, StoreError> {
        Ok(repost(record, commit.put(keys::record(&record.tenant, record.id), bytes_of(record)?)))
    }

    /// Adds a new run to a commit: it is pending.
    pub(crate) async fn with_new(
        &self,
        record: &Record,
        mut given: Given,
        commit: Commit,
    ) -> Result<Commit, StoreError> {
        let Record { tenant, id, .. } = record;
        let commit = Self::with_record(record, commit)?.put(keys::pending(tenant, *id), Bytes::new());
        self.put(commit, (tenant, *id), keys::given(tenant, *id), &mut given).await
    }

    /// Adds steps, which were not there before, to a commit.
    pub(crate) async fn with_steps(
        &self,
        record: &Record,
        mut commit: Commit,
        steps: impl IntoIterator<Item = StepRecord>,
    ) -> Result<Commit, StoreError> {
        for mut step in steps {
            let of = (&record.tenant, record.id);
            let key = keys::step(of.0, of.1, step.number);
            commit = self.put(commit.absent(key.clone()), of, key, &mut step).await?;
        }
        Ok(commit)
    }

    /// Adds the run's end to a commit: it is no longer pending.
    pub(crate) async fn with_ending(
        &self,
        record: &Record,
        commit: Commit,
        mut ending: Ending,
    ) -> Result<Commit, StoreError> {
        let (of, key) = ((&record.tenant, record.id), keys::ending(&record.tenant, record.id));
        let commit = self.put(commit, of, key, &mut ending).await?;
        Ok(commit.delete(keys::pending(&record.tenant, record.id)))
    }

    /// The early answer of a run.
    pub(crate) async fn reply(&self, tenant: &TenantId, id: RunId) -> Result<Option<String>, StoreError> {
        match self.read::<Replied>(&keys::reply(tenant, id)).await? {
            Some((Replied(answer), _)) => Ok(Some(self.text(answer).await?)),
            None => Ok(None),
        }
    }
}

/// The bytes of a value as they are stored.
pub(crate) fn bytes_of(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(unreadable)
}

fn read_text(digest: &Digest, found: Result<Option<Bytes>, BlobError>) -> Result<String, StoreError> {
    match found.map_err(blob_failed)? {
        Some(bytes) => String::from_utf8(bytes.into()).map_err(unreadable),
        None => Err(StoreError::Engine(
            format!("blob {digest} is gone; restore the data directory from a backup").into(),
        )),
    }
}

/// A payload that holds `value` as JSON.
pub(crate) fn as_json(value: &impl Serialize) -> Result<Payload, StoreError> {
    serde_json::to_string(value).map(Payload::Here).map_err(unreadable)
}

/// A stored value.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(format!("a value of a run is not what this host writes: {error}").into())
}

pub(crate) fn blob_failed(error: BlobError) -> StoreError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    StoreError::Engine(format!("{error}{cause}").into())
}
