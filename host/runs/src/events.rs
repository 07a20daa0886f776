//! Events from outside: kept durably until the run asks for them, the first
//! one of a name counts.
//!
//! Invariants
//! - An event that was taken in is told to the run, or to nobody: a time limit
//!   that passed meanwhile is taken back.
//! - An event's secret is for one step of one run, and compared in constant time.

use std::sync::Arc;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use host_model::clock::Timestamp;
use host_model::id::RunId;
use host_model::name::{BadName, EventName, TenantId};
use host_model::run::Wait;
use host_store::{Commit, StoreError, Version};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::ask::check_json;
use crate::journal::Core;
use crate::park::Roused;
use crate::record::{Given, Payload, Spills};
use crate::shelf::{Shelf, bytes_of};
use crate::tail::Also;
use crate::{Runs, keys};

/// The most events that are kept for one run which has not asked for them: a
/// run that asks in a loop takes them one after the other.
pub const MAX_EVENTS: usize = 64;

/// How many stored events are looked at to count those that wait: as many
/// names as a run can ask for are rare.
const LOOK: usize = 1_000;

/// How often an event is tried again that the run was quicker than.
const TRIES: usize = 20;

/// Why an event was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// There is no such run of this tenant, or the secret is not that of the event.
    #[error("there is no such event")]
    Absent,
    /// It cannot be the name of an event.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The run has ended.
    #[error("{0} has ended and takes no event any more")]
    Over(RunId),
    /// It came before, or its time is over.
    #[error("the event `{name}` of {run} came before, or is not waited for any more; the first one counts")]
    Taken {
        /// Which run.
        run: RunId,
        /// The event's name.
        name: EventName,
    },
    /// Too many wait for the run to ask for them.
    #[error(
        "{MAX_EVENTS} events are kept for {0}, which has not asked for them; send it when some are taken"
    )]
    Crowded(RunId),
    /// The data is no JSON text, or too long.
    #[error("{0}")]
    Data(String),
    /// The run changed again and again meanwhile.
    #[error("the run changed {TRIES} times meanwhile; send it again")]
    Contended,
    /// The store failed; whether it was taken in is not known. Sending it again does no harm.
    #[error("cannot make the event durable")]
    Store(#[from] StoreError),
    /// A bug ended the task; whether it was taken in is not known.
    #[error("it was interrupted by a failure of the host; send it again")]
    Interrupted,
}

/// What is stored of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    data: Payload,
    /// The step that it was sent to; of any if it came by the API.
    to: Option<u32>,
    /// The step that took it: then only its name is left, so that a second one is known as such.
    taken_by: Option<u32>,
}

impl Spills for Event {
    fn payloads(&mut self) -> Vec<&mut Payload> {
        vec![&mut self.data]
    }
}

impl Event {
    /// Whether it is there for this step.
    pub(crate) fn is_for(&self, step: u32) -> bool {
        self.taken_by.is_none() && self.to.is_none_or(|to| to == step)
    }
}

/// The event's data, and what goes into the commit of the step that takes it.
pub(crate) async fn consumed(
    shelf: &Shelf,
    key: Bytes,
    event: Event,
    version: Version,
    step: u32,
) -> Result<(String, Also), StoreError> {
    let data = shelf.text(event.data.clone()).await?;
    let left = Event { data: Payload::Here(String::new()), taken_by: Some(step), ..event };
    let commit = Commit::default().at(key.clone(), version).put(key, bytes_of(&left)?);
    Ok((data, Also { commit, ..Also::default() }))
}

/// Adds to a commit that no event has come since.
pub(crate) fn unexpected(commit: Commit, key: Bytes, seen: Option<Version>) -> Commit {
    match seen {
        Some(version) => commit.at(key, version),
        None => commit.absent(key),
    }
}

fn mac(seed: &[u8; 32], run: RunId, step: u32, name: &EventName) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed).ok()?; // takes keys of any length
    mac.update(b"wharf event\0");
    mac.update(&run.to_bytes());
    mac.update(&step.to_be_bytes());
    mac.update(name.as_str().as_bytes());
    Some(mac)
}

/// The step whose secret this is.
fn step_of(seed: &[u8; 32], run: RunId, name: &EventName, secret: &str) -> Option<u32> {
    let (step, tag) = secret.split_once('-')?;
    let number = step.parse::<u32>().ok().filter(|number| number.to_string() == step)?;
    let tag = hex::decode(tag).ok()?;
    mac(seed, run, number, name)?.verify_slice(&tag).ok()?;
    Some(number)
}

impl Core {
    /// Where the outside sends this event.
    pub(crate) fn event_url(&self, step: u32, name: &EventName) -> String {
        let Some(mac) = mac(&self.seed, self.run, step, name) else { return String::new() };
        let tag = hex::encode(mac.finalize().into_bytes());
        format!("{}/events/{}/{}/{name}/{step}-{tag}", self.public_url, self.tenant, self.run)
    }
}

impl Runs {
    /// Takes in an event from whoever may speak for the tenant. One that the
    /// run has not asked for yet is kept until it does.
    pub async fn deliver(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        name: &str,
        data: String,
    ) -> Result<(), DeliverError> {
        self.deliver_to(tenant, run, name.parse()?, None, data).await
    }

    /// Takes in an event from whoever knows its address.
    pub async fn deliver_by_secret(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        name: &str,
        secret: &str,
        data: String,
    ) -> Result<(), DeliverError> {
        let name = name.parse().map_err(|_| DeliverError::Absent)?;
        let given = self.shelf.read::<Given>(&keys::given(tenant, run)).await?;
        let (given, _) = given.ok_or(DeliverError::Absent)?;
        let step = step_of(&given.seed, run, &name, secret).ok_or(DeliverError::Absent)?;
        self.deliver_to(tenant, run, name, Some(step), data).await
    }

    async fn deliver_to(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        name: EventName,
        to: Option<u32>,
        data: String,
    ) -> Result<(), DeliverError> {
        let data = if data.is_empty() { "null".to_owned() } else { data };
        check_json("the event's data", &data).map_err(DeliverError::Data)?;
        let (this, tenant) = (Arc::clone(self), tenant.clone());
        // A task of its own: a sender that goes away must not leave a run that was put back and not told.
        let task = self.stops.tasks.spawn(async move { this.take_in(&tenant, run, name, to, data).await });
        task.await.unwrap_or(Err(DeliverError::Interrupted))
    }

    async fn take_in(
        &self,
        tenant: &TenantId,
        run: RunId,
        name: EventName,
        to: Option<u32>,
        data: String,
    ) -> Result<(), DeliverError> {
        self.lease.hold().await?;
        let mut event = Event { at: self.clock.now(), data: Payload::Here(data), to, taken_by: None };
        let key = keys::event(tenant, run, &name);
        let kept = self.shelf.put(Commit::default(), (tenant, run), key.clone(), &mut event).await?;
        for _ in 0..TRIES {
            let taken = || DeliverError::Taken { run, name: name.clone() };
            let (record, _) = self.shelf.record(tenant, run).await?.ok_or(DeliverError::Absent)?;
            if record.status.is_over() {
                return Err(DeliverError::Over(run));
            }
            let commit = match (self.shelf.read::<Event>(&key).await?, to) {
                (None, _) => kept.clone().absent(key.clone()),
                (Some((before, version)), Some(to)) if before.taken_by.is_some_and(|by| by < to) => {
                    kept.clone().at(key.clone(), version)
                }
                // The run asks for that name once more, and its record says so.
                (Some((before, version)), None)
                    if before.taken_by.is_some() && record.waits.iter().any(|wait| is_for(wait, &name)) =>
                {
                    kept.clone().at(key.clone(), version)
                }
                (Some(_), _) => return Err(taken()),
            };
            let commit = match to {
                Some(step) => {
                    let step = keys::step(tenant, run, step);
                    if self.shelf.store.get(&step).await?.is_some() {
                        return Err(taken());
                    }
                    commit.absent(step)
                }
                None if self.kept_for(tenant, run).await? >= MAX_EVENTS => {
                    return Err(DeliverError::Crowded(run));
                }
                None => commit,
            };
            let (commit, roused) = self.rouse(tenant, run, commit, |wait| is_for(wait, &name)).await?;
            match roused {
                Roused::Gone => return Err(DeliverError::Absent),
                Roused::Over => return Err(DeliverError::Over(run)),
                Roused::Awake | Roused::Woken | Roused::Held => {}
            }
            match self.shelf.store.commit(commit).await {
                Ok(_) => {
                    self.roused(tenant, run, roused);
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => {
                    self.roused(tenant, run, roused); // perhaps
                    return Err(error.into());
                }
            }
        }
        Err(DeliverError::Contended)
    }

    /// How many events wait for the run to ask for them.
    async fn kept_for(&self, tenant: &TenantId, run: RunId) -> Result<usize, StoreError> {
        let page = self.shelf.store.scan(&keys::events(tenant, run), None, LOOK).await?;
        let events = page.iter().map(|entry| crate::shelf::parse::<Event>(&entry.value));
        let events = events.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(events.iter().filter(|event| event.taken_by.is_none()).count())
    }
}

fn is_for(wait: &Wait, event: &EventName) -> bool {
    matches!(wait, Wait::Event { name, .. } if name == event.as_str())
}

#[test]
fn a_secret_is_for_one_step_of_one_run_and_one_name() {
    let run = RunId::from_bytes([7; 16]);
    let (name, other): (EventName, EventName) = ("approved".parse().unwrap(), "denied".parse().unwrap());
    let secret = |step| {
        format!("{step}-{}", hex::encode(mac(&[1; 32], run, step, &name).unwrap().finalize().into_bytes()))
    };
    assert_eq!(step_of(&[1; 32], run, &name, &secret(3)), Some(3));
    assert_eq!(step_of(&[2; 32], run, &name, &secret(3)), None);
    assert_eq!(step_of(&[1; 32], RunId::from_bytes([8; 16]), &name, &secret(3)), None);
    assert_eq!(step_of(&[1; 32], run, &other, &secret(3)), None);
    for bad in ["", "3", "3-", "3-00", &secret(3).replacen('3', "4", 1), &secret(3).replacen('3', "03", 1)] {
        assert_eq!(step_of(&[1; 32], run, &name, bad), None, "{bad}");
    }
}
