//! Making a new run of one that has ended.
//!
//! Invariants
//! - The run that is repeated stays as it is, but for its trace.
//! - Steps that are done anew keep the idempotency keys that they had: what the
//!   first run did and could not record is not done twice. A replay from the
//!   start is a run of its own, with keys of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::message::Draft;
use host_model::name::TenantId;
use host_model::outcome::Usage;
use host_model::run::{ReplayOf, RunStatus, StartedBy};
use host_store::{StoreError, Version};

use super::decide::RunStatusWord;
use super::replay::{From, On, Replay, ReplayError, Replayed};
use super::trace::trace;
use crate::idempotency::{Idempotency, MAX_KEY, Seen, until};
use crate::record::{Given, Payload, Record, bounds_to_spec, deadline_of, wiring_of};
use crate::search::Posted;
use crate::shelf::{Shelf, as_json};
use crate::{Runs, keys, random};

/// A run that was read to be repeated.
struct Old {
    record: Record,
    version: Version,
    given: Given,
}

impl Runs {
    /// Makes a new run of one that has ended, and starts it.
    pub async fn replay(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        replay: Replay,
    ) -> Result<Replayed, ReplayError> {
        if self.stops.drain.is_cancelled() {
            return Err(ReplayError::Stopping);
        }
        let (this, tenant) = (Arc::clone(self), tenant.clone());
        // A task of its own, as accepting is: what is durable is also started.
        let making = self.stops.tasks.spawn(async move { this.make_replay(&tenant, run, &replay).await });
        making.await.unwrap_or(Err(ReplayError::Interrupted))
    }

    async fn make_replay(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        replay: &Replay,
    ) -> Result<Replayed, ReplayError> {
        let now = self.clock.now();
        let request = replay.request.as_ref().map(|key| request_of(tenant, run, key, replay)).transpose()?;
        let mut free = None;
        if let Some(request) = &request {
            match request.look_up(&self.shelf, now).await? {
                Seen::Same(before) => {
                    let made = before.runs.first().copied().ok_or(ReplayError::OwnProduct(run))?;
                    return Ok(Replayed { run: made, repeated: true });
                }
                Seen::Other => return Err(ReplayError::RequestReused),
                Seen::Never(there) => free = there,
            }
        }
        let (record, version) = self.shelf.record(tenant, run).await?.ok_or(ReplayError::Absent(run))?;
        if !record.status.is_over() {
            return Err(ReplayError::NotOver { run, status: RunStatusWord(record.status) });
        }
        if let Some(before) = record.replayed_by.filter(|_| replay.unless_replayed) {
            return Ok(Replayed { run: before, repeated: true });
        }
        let given = self.shelf.given(tenant, run).await?;
        let mut old = Old { record, version, given };
        self.is_there(&old, replay).await?;
        let from = self.first_anew(&old.record, replay).await?;
        self.lease.hold().await?;

        let id = RunId::new(now, random());
        let given = self.given_again(&old, replay).await?;
        let taken = self.take_over(&old.record, id, from).await?;
        let of = ReplayOf { run, from_step: from, dry: replay.dry };
        let mut new = record_again(&old.record, replay, of, id, now, self.process);
        // It has all the time that a new run has.
        new.deadline = deadline_of(&given, now);
        (new.steps, new.keys, new.replied) = (taken.steps, taken.keys.clone(), taken.replied);
        let (noun, verb) =
            if replay.dry { ("dry run of", "dry run as") } else { ("replay of", "replayed as") };
        trace(&mut new, now, format!("{noun} {run}"), &replay.by);
        trace(&mut old.record, now, format!("{verb} {id}"), &replay.by);
        if !replay.dry {
            old.record.replayed_by = Some(id);
        }

        let old_key = keys::record(tenant, run);
        let commit = taken.rest.clone().at(old_key, old.version);
        let commit = Shelf::with_record(&old.record, commit)?;
        let mut commit = self.shelf.with_new(&new, given, commit).await?;
        if !replay.dry {
            commit = commit.delete(keys::dead(tenant, run));
        }
        if let (Some(request), Some(key)) = (&request, &replay.request) {
            let until = until(now, self.settings.keep_keys);
            let bad = |error: serde_json::Error| StoreError::Engine(error.to_string().into());
            commit = request.remember(commit, free, &[id], until).map_err(bad)?;
            // A list that is gone through again must not find what it made itself.
            let product = request_of(tenant, id, key, replay)?;
            commit = product.remember(commit, None, &[], until).map_err(bad)?;
        }
        match self.commit(&[(tenant.clone(), id)], commit).await {
            Ok(()) => Ok(Replayed { run: id, repeated: false }),
            Err(ReplayError::Store(StoreError::Conflict)) => {
                self.leave(tenant, id, &taken).await;
                Err(ReplayError::Contended(run))
            }
            Err(why @ ReplayError::NoRoom(_)) => {
                self.leave(tenant, id, &taken).await;
                Err(why)
            }
            Err(why) => Err(why),
        }
    }

    /// What would be run must still be there.
    async fn is_there(&self, old: &Old, replay: &Replay) -> Result<(), ReplayError> {
        let Record { id: run, package, digest, .. } = &old.record;
        let there = match &replay.on {
            On::Pinned => self.guests.has_package(package, digest).await.map_err(ReplayError::Package)?,
            On::Current(_) => true, // the catalog resolved it just now
        };
        if there {
            Ok(())
        } else {
            Err(ReplayError::PackageGone { run: *run, package: package.clone(), digest: *digest })
        }
    }

    async fn given_again(&self, old: &Old, replay: &Replay) -> Result<Given, ReplayError> {
        let mut given = old.given.clone();
        if let On::Current(workflow) = &replay.on {
            given.wiring = as_json(&wiring_of(workflow))?;
            given.bounds = bounds_to_spec(&workflow.bounds);
            given.definition = workflow.definition;
            given.retry = workflow.retry;
            given.deadline_ms = workflow.deadline.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(data) = &replay.input {
            let message = &old.record.message;
            let (kind, subject) = (message.kind.clone(), message.subject.clone());
            Draft { kind, subject, data: data.clone() }.check()?;
            let package = match &replay.on {
                On::Pinned => &old.record.package,
                On::Current(workflow) => &workflow.package.package,
            };
            let fits = self.guests.fits(&old.record.tenant, package, data).await;
            fits.map_err(ReplayError::Package)?.map_err(ReplayError::Unfit)?;
            given.data = Payload::Here(data.clone());
        }
        if replay.from == From::Start && !replay.dry {
            (given.seed, given.since, given.keys_of) = (random(), None, None);
        } else {
            // The workflow must see the same clock and the same chance up to where it goes on.
            given.since = given.since.or(Some(old.record.accepted_at));
            given.keys_of = given.keys_of.or(Some(old.record.id));
        }
        Ok(given)
    }
}

fn record_again(
    old: &Record,
    replay: &Replay,
    of: ReplayOf,
    id: RunId,
    now: Timestamp,
    process: u64,
) -> Record {
    let (package, digest) = match &replay.on {
        On::Pinned => (old.package.clone(), old.digest),
        On::Current(workflow) => (workflow.package.package.clone(), workflow.package.digest),
    };
    Record {
        id,
        package,
        digest,
        // The run that started the old one has heard of its end.
        started_by: match &old.started_by {
            StartedBy::Run(_) => StartedBy::Manual(None),
            other => other.clone(),
        },
        status: RunStatus::Accepted,
        accepted_at: now,
        finished_at: None,
        attempts: 1,
        usage: Usage::default(),
        steps: 0,
        taken_by: Some(process),
        fruitless: 0,
        keys: BTreeMap::new(),
        retries: 0,
        failed_step: None,
        failure: None,
        deadline: None,
        replied: false,
        waits: Vec::new(),
        replay_of: Some(of),
        replayed_by: None,
        interventions: Vec::new(),
        connections: BTreeSet::new(),
        posted: Posted::default(),
        ..old.clone()
    }
}

/// What is remembered of a request and one run: what it asked for.
fn request_of(tenant: &TenantId, run: RunId, key: &str, replay: &Replay) -> Result<Idempotency, ReplayError> {
    if !(1..=MAX_KEY).contains(&key.len()) {
        return Err(ReplayError::RequestLength(key.len()));
    }
    let on = match &replay.on {
        On::Pinned => "pinned",
        On::Current(_) => "current",
    };
    let asked = format!("{:?} {on} {} {:?}", replay.from, replay.dry, replay.input);
    Ok(Idempotency {
        tenant: tenant.clone(),
        scope: format!("replay {run}"),
        key: key.to_owned(),
        input: Digest::of(asked.as_bytes()),
        answer: None,
    })
}
