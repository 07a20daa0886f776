//! Accepting: one commit makes the runs, their inputs and the idempotency
//! record durable, or nothing. Only then does anybody hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host_model::clock::Timestamp;
use host_model::id::{MessageId, RunId};
use host_model::message::{BadDraft, Draft};
use host_model::name::TenantId;
use host_model::outcome::Usage;
use host_model::resource::Workflow;
use host_model::run::{RunStatus, StartedBy};
use host_store::port::MAX_COMMIT;
use host_store::{Commit, StoreError};

use crate::guests::{NoRoom, Room};
use crate::idempotency::{Idempotency, MAX_KEY, Seen, until};
use crate::once::{self, Once, Turn};
use crate::places::Place;
use crate::record::{Envelope, Given, Payload, Record, bounds_to_spec, deadline_of, wiring_of};
use crate::search::Posted;
use crate::shelf::as_json;
use crate::{Runs, keys, random};

/// The most runs that are accepted together: a webhook's hundred messages for
/// five workflows each, well within one commit.
pub const MAX_RUNS: usize = 500;

/// How often a commit is tried that others were quicker than.
const TRIES: usize = 5;

/// A run to be.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// What is run. The run is pinned to it as it is now.
    pub workflow: Arc<Workflow>,
    /// What started it.
    pub started_by: StartedBy,
    /// The message that it runs for.
    pub draft: Draft,
    /// Makes no run if there was one for the same within the window.
    pub once: Option<Once>,
}

/// Runs that are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Their ids, in the order of what was given; for one that was there
    /// already ([`NewRun::once`]), the id of the earlier run.
    pub runs: Vec<RunId>,
    /// They were accepted before, under the same idempotency key.
    pub repeated: bool,
    /// What [`Idempotency::answer`] was the first time.
    pub answer: Option<u16>,
}

/// Why runs were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The message is no message. Nothing was accepted.
    #[error("message {index} of {count} cannot be accepted")]
    Draft {
        /// Which one, from 0.
        index: usize,
        /// Of how many.
        count: usize,
        /// Why.
        source: BadDraft,
    },
    /// Too many at once. Nothing was accepted.
    #[error("{count} runs at once, the most is {MAX_RUNS}; send fewer messages at a time")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// The idempotency key is empty or too long. Nothing was accepted.
    #[error("an idempotency key must have 1 to {MAX_KEY} bytes, this one has {0}")]
    KeyLength(usize),
    /// Something else was sent with the same key before. Nothing was accepted.
    #[error("this idempotency key was used for something else; use a new key for a new request")]
    KeyReused,
    /// A requirement of the caller's own part of the commit does not hold. Nothing was accepted.
    #[error("something that the runs depend on was changed by somebody else")]
    Conflict,
    /// The host is stopping. Nothing was accepted.
    #[error("the host is stopping and accepts nothing more; send it again")]
    Stopping,
    /// A quota of the tenant's is used up, or the host is short of something. Nothing was accepted.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The store failed; whether the runs were accepted is not known. With an
    /// idempotency key the caller can safely send again.
    #[error("cannot make the runs durable")]
    Store(#[from] StoreError),
    /// A bug ended the task; whether the runs were accepted is not known.
    #[error("accepting was interrupted by a failure of the host")]
    Interrupted,
}

/// What is made of the runs before their commit.
struct Made {
    runs: Vec<(TenantId, RunId)>,
    commit: Commit,
}

impl Runs {
    /// Makes the runs durable and starts them in the background.
    pub async fn accept(
        self: &Arc<Self>,
        runs: Vec<NewRun>,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, AcceptError> {
        self.accept_with(runs, idempotency, Commit::default()).await
    }

    /// As [`Runs::accept`], with requirements and changes of the caller's in
    /// the same commit. [`AcceptError::Conflict`] if one of those requirements
    /// does not hold.
    pub async fn accept_with(
        self: &Arc<Self>,
        runs: Vec<NewRun>,
        idempotency: Option<Idempotency>,
        also: Commit,
    ) -> Result<Accepted, AcceptError> {
        if self.stops.drain.is_cancelled() {
            return Err(AcceptError::Stopping);
        }
        let this = Arc::clone(self);
        // A task of its own: a caller that goes away must not leave behind runs that are durable and not started.
        let accepting = self.stops.tasks.spawn(async move { this.accept_all(runs, idempotency, also).await });
        accepting.await.unwrap_or(Err(AcceptError::Interrupted))
    }

    /// The runs that were accepted under this key, if any: asked before a guest
    /// is run to find out what to accept.
    pub async fn earlier(&self, idempotency: &Idempotency) -> Result<Option<Accepted>, AcceptError> {
        check_key(idempotency)?;
        match idempotency.look_up(&self.shelf, self.clock.now()).await? {
            Seen::Same(accepted) => Ok(Some(accepted)),
            Seen::Other => Err(AcceptError::KeyReused),
            Seen::Never(_) => Ok(None),
        }
    }

    async fn accept_all(
        self: &Arc<Self>,
        runs: Vec<NewRun>,
        idempotency: Option<Idempotency>,
        also: Commit,
    ) -> Result<Accepted, AcceptError> {
        self.lease.hold().await?;
        let now = self.clock.now();
        check(&runs, idempotency.as_ref())?;
        let mut made: Option<(Vec<Turn>, Made)> = None;
        let mut before = None;
        for _ in 0..TRIES {
            let mut there = None;
            if let Some(key) = &idempotency {
                match key.look_up(&self.shelf, now).await? {
                    Seen::Same(accepted) => return Ok(accepted),
                    Seen::Other => return Err(AcceptError::KeyReused),
                    Seen::Never(version) => there = version,
                }
            }
            let turns = self.turns(&runs, now).await?;
            // The keys are as they were when the commit was refused, so they were not the reason.
            let seen = (there, turns.clone());
            if before.replace(seen.clone()) == Some(seen) {
                return Err(AcceptError::Conflict);
            }
            let Made { runs: ready, commit } = match made.take().filter(|(same, _)| *same == turns) {
                Some((_, ready)) => &made.insert((turns.clone(), ready)).1,
                None => {
                    let wanted = runs.iter().zip(&turns);
                    let wanted = wanted.filter(|(_, turn)| matches!(turn, Turn::Made | Turn::First(..)));
                    let wanted: Vec<_> = wanted.map(|(run, _)| run).collect();
                    let ready = self.make(&wanted, &also, now).await?;
                    &made.insert((turns.clone(), ready)).1
                }
            };
            let ids = once::ids_of(&turns, ready.iter().map(|(_, run)| *run));
            let unwritable =
                |error: serde_json::Error| AcceptError::Store(StoreError::Engine(error.to_string().into()));
            let mut commit = once::remember(commit.clone(), &runs, &turns, &ids, now).map_err(unwritable)?;
            if let Some(key) = &idempotency {
                let until = until(now, self.settings.keep_keys);
                commit = key.remember(commit, there, &ids, until).map_err(unwritable)?;
            }
            if commit.changes() > MAX_COMMIT {
                return Err(AcceptError::TooMany { count: runs.len() });
            }
            match self.commit(ready, commit).await {
                Ok(()) => {
                    return Ok(Accepted {
                        runs: ids,
                        repeated: false,
                        answer: idempotency.and_then(|key| key.answer),
                    });
                }
                Err(AcceptError::Store(StoreError::Conflict)) => {}
                Err(why) => return Err(why),
            }
        }
        Err(AcceptError::Conflict)
    }

    /// Commits new runs, as far as their tenants' quotas have room, and starts
    /// those that there is a place for.
    pub(crate) async fn commit<E: From<NoRoom> + From<StoreError>>(
        self: &Arc<Self>,
        runs: &[(TenantId, RunId)],
        commit: Commit,
    ) -> Result<(), E> {
        if commit == Commit::default() {
            return Ok(());
        }
        let room = self.room(runs, &commit)?;
        // Taken before the commit: from then on the store's list shows them to the dispatcher too.
        let places: Vec<Option<Place>> =
            runs.iter().map(|(tenant, run)| self.places.take(tenant, *run)).collect();
        match self.shelf.store.commit(commit).await {
            Ok(_) => {
                room.into_iter().for_each(|room| room.keep());
                for (place, (tenant, run)) in places.into_iter().zip(runs) {
                    match place {
                        Some(place) => self.start(place),
                        None => self.places.wait_in_store(tenant, Some(*run)),
                    }
                }
                Ok(())
            }
            Err(error) => {
                drop(places);
                if matches!(error, StoreError::Engine(_)) {
                    // They may be there all the same.
                    for (tenant, run) in runs {
                        self.places.wait_in_store(tenant, Some(*run));
                    }
                }
                Err(error.into())
            }
        }
    }

    /// Accepts a run under an id that its maker knows. It may be there already:
    /// then [`AcceptError::Store`] of [`StoreError::Conflict`].
    pub(crate) async fn accept_named(
        self: &Arc<Self>,
        id: RunId,
        new: NewRun,
        depth: u8,
    ) -> Result<(), AcceptError> {
        if self.stops.drain.is_cancelled() {
            return Err(AcceptError::Stopping);
        }
        let tenant = new.workflow.tenant.clone();
        let absent = Commit::default().absent(keys::record(&tenant, id));
        new.draft.check().map_err(|source| AcceptError::Draft { index: 0, count: 1, source })?;
        let commit = self.with_run(absent, id, &new, depth, self.clock.now()).await;
        let commit = commit?;
        self.commit(&[(tenant, id)], commit).await
    }

    /// Room for these runs in the quotas of their tenants. None is needed for none.
    fn room(&self, runs: &[(TenantId, RunId)], commit: &Commit) -> Result<Vec<Box<dyn Room>>, NoRoom> {
        let mut each: BTreeMap<&TenantId, u64> = BTreeMap::new();
        runs.iter().for_each(|(tenant, _)| *each.entry(tenant).or_default() += 1);
        let bytes = commit.bytes();
        each.into_iter().map(|(tenant, runs)| self.guests.room(tenant, runs, bytes)).collect()
    }

    async fn make(&self, runs: &[&NewRun], also: &Commit, now: Timestamp) -> Result<Made, StoreError> {
        let mut made = Made { runs: Vec::with_capacity(runs.len()), commit: also.clone() };
        for new in runs {
            let id = RunId::new(now, random());
            made.commit = self.with_run(made.commit, id, new, 0, now).await?;
            made.runs.push((new.workflow.tenant.clone(), id));
        }
        Ok(made)
    }

    /// Adds a new run to a commit.
    pub(crate) async fn with_run(
        &self,
        commit: Commit,
        id: RunId,
        new: &NewRun,
        depth: u8,
        now: Timestamp,
    ) -> Result<Commit, StoreError> {
        let (record, given) = self.to_store(id, new, depth, now)?;
        self.shelf.with_new(&record, given, commit).await
    }

    /// What is stored of a new run.
    pub(crate) fn to_store(
        &self,
        id: RunId,
        new: &NewRun,
        depth: u8,
        now: Timestamp,
    ) -> Result<(Record, Given), StoreError> {
        let NewRun { workflow, started_by, draft, .. } = new;
        let tenant = &workflow.tenant;
        let given = Given {
            data: Payload::Here(draft.data.clone()),
            wiring: as_json(&wiring_of(workflow))?,
            bounds: bounds_to_spec(&workflow.bounds),
            seed: random(),
            definition: workflow.definition,
            since: None,
            keys_of: None,
            public_url: Some(self.settings.public_url.to_string()),
            retry: workflow.retry,
            deadline_ms: workflow.deadline.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            script: None,
        };
        let record = Record {
            id,
            tenant: tenant.clone(),
            workflow: workflow.name.clone(),
            package: workflow.package.package.clone(),
            digest: workflow.package.digest,
            started_by: started_by.clone(),
            status: RunStatus::Accepted,
            message: Envelope {
                id: MessageId::new(now, random()),
                source: match started_by {
                    StartedBy::Webhook(connection) => format!("/connections/{connection}"),
                    StartedBy::Schedule(schedule) => format!("/schedules/{schedule}"),
                    StartedBy::Topic(topic) => format!("/topics/{topic}"),
                    StartedBy::Run(run) => format!("/runs/{run}"),
                    StartedBy::Manual(_) => "/run".to_owned(),
                },
                kind: draft.kind.clone(),
                subject: draft.subject.clone(),
                time: now,
            },
            accepted_at: now,
            finished_at: None,
            attempts: 1,
            usage: Usage::default(),
            steps: 0,
            taken_by: Some(self.process),
            fruitless: 0,
            keys: BTreeMap::new(),
            retries: 0,
            failed_step: None,
            failure: None,
            deadline: deadline_of(&given, now),
            replied: false,
            depth,
            waits: Vec::new(),
            replay_of: None,
            replayed_by: None,
            interventions: Vec::new(),
            connections: BTreeSet::new(),
            posted: Posted::default(),
            test: None,
        };
        Ok((record, given))
    }
}

fn check(runs: &[NewRun], idempotency: Option<&Idempotency>) -> Result<(), AcceptError> {
    let count = runs.len();
    if count > MAX_RUNS {
        return Err(AcceptError::TooMany { count });
    }
    for (index, run) in runs.iter().enumerate() {
        run.draft.check().map_err(|source| AcceptError::Draft { index, count, source })?;
    }
    idempotency.map_or(Ok(()), check_key)
}

fn check_key(idempotency: &Idempotency) -> Result<(), AcceptError> {
    match idempotency.key.len() {
        1..=MAX_KEY => Ok(()),
        length => Err(AcceptError::KeyLength(length)),
    }
}
