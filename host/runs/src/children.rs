//! Runs that a run starts: of another workflow, which it waits for, and of
//! those that subscribe to a topic. Their ids follow from run and step, so
//! that a step which is repeated starts none twice.

use std::sync::Arc;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::message::Draft;
use host_model::name::{TopicName, WorkflowName};
use host_model::outcome::{CallError, Outcome};
use host_model::run::{MAX_DEPTH, StartedBy};
use host_store::{Commit, StoreError};

use crate::accept::{AcceptError, NewRun};
use crate::attend::What;
use crate::guests::NoRoom;
use crate::journal::Core;
use crate::ledger::Halt;
use crate::once::{self, Turn};
use crate::perform::{Order, only};
use crate::record::Did;
use crate::tail::Also;
use crate::{Runs, keys};

/// The most workflows that one publication may start: their runs and the step
/// are one commit.
const MAX_SUBSCRIBERS: usize = 100;

/// The kind of the message that a run of another workflow gets.
const CALLED: &str = "workflow";

/// The id of a run that a step starts.
fn id_of(by: RunId, step: u32, workflow: &WorkflowName, at: Timestamp) -> RunId {
    let mut all = by.to_bytes().to_vec();
    all.extend_from_slice(&step.to_be_bytes());
    all.extend_from_slice(workflow.as_str().as_bytes());
    let mut random = [0; 10];
    random.iter_mut().zip(Digest::of(&all).as_bytes()).for_each(|(to, from)| *to = *from);
    RunId::new(at, random)
}

impl Core {
    fn too_deep(&self) -> Option<CallError> {
        (self.depth >= MAX_DEPTH).then(|| {
            CallError::Permanent(format!(
                "this run is {MAX_DEPTH} runs deep, which is the most; it may start none"
            ))
        })
    }

    fn runs(&self) -> Result<Arc<Runs>, Halt> {
        self.runs.upgrade().ok_or(Halt::Parked)
    }

    /// Starts a run of another workflow, unless an earlier attempt did, and waits for it.
    pub(crate) async fn start_child(
        self: &Arc<Self>,
        mut order: Order,
        workflow: WorkflowName,
        input: String,
        at: Timestamp,
    ) -> Result<(), Halt> {
        let id = id_of(self.run, order.number, &workflow, at);
        let started = match self.too_deep() {
            Some(error) => Err(error),
            None => self.accept_child(id, &workflow, input).await?,
        };
        match started {
            Ok(()) => {
                if let Did::Workflow { run, .. } = &mut order.asked.did {
                    *run = Some(id);
                }
                self.wait_for(order, What::Run(id));
            }
            Err(error) => {
                self.done(order, only(Outcome::Declined(error)), Also::default());
            }
        }
        Ok(())
    }

    async fn accept_child(
        &self,
        id: RunId,
        workflow: &WorkflowName,
        input: String,
    ) -> Result<Result<(), CallError>, Halt> {
        let failed =
            |why: &dyn std::fmt::Display| Halt::Broken(format!("cannot start a run of `{workflow}`: {why}"));
        let there = self.shelf.record(&self.tenant, id).await.map_err(|error| failed(&error))?;
        if there.is_some() {
            return Ok(Ok(())); // whatever became of the workflow since
        }
        let Some(found) = self.guests.workflow(&self.tenant, workflow) else {
            return Ok(Err(CallError::NotFound(format!("there is no workflow `{workflow}`"))));
        };
        let fits = self.guests.fits(&self.tenant, &found.package.package, &input).await;
        if let Err(why) = fits.map_err(|error| failed(&error))? {
            let why = format!("what workflow `{workflow}` takes: {why}");
            return Ok(Err(CallError::InvalidInput(why)));
        }
        let draft = Draft { kind: CALLED.to_owned(), subject: None, data: input };
        let new = NewRun { workflow: found, started_by: StartedBy::Run(self.run), draft, once: None };
        match self.runs()?.accept_named(id, new, self.depth + 1).await {
            // If it conflicts, it is there.
            Ok(()) | Err(AcceptError::Conflict | AcceptError::Store(StoreError::Conflict)) => Ok(Ok(())),
            Err(AcceptError::Draft { source, .. }) => Ok(Err(CallError::InvalidInput(source.to_string()))),
            Err(AcceptError::Stopping) => Err(Halt::Parked),
            Err(AcceptError::NoRoom(why)) => Ok(Err(no_room(&why))),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Gives a message to every workflow that subscribes: their runs are
    /// accepted by the commit that records the step.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        mut order: Order,
        topic: TopicName,
        data: String,
    ) -> Result<(), Halt> {
        let failed =
            |why: &dyn std::fmt::Display| Halt::Broken(format!("cannot publish to `{topic}`: {why}"));
        let found = self.guests.subscribers(&self.tenant, &topic, &data).await;
        let (subscribers, unfit) = match found.map_err(|error| failed(&error))? {
            Ok(subscribers) => (subscribers, None),
            Err(why) => (Vec::new(), Some(CallError::InvalidInput(why))),
        };
        let refused = match self.too_deep() {
            None if subscribers.len() > MAX_SUBSCRIBERS => Some(CallError::Permanent(format!(
                "{} workflows subscribe to `{topic}`, the most is {MAX_SUBSCRIBERS}",
                subscribers.len()
            ))),
            None => unfit,
            refused => refused,
        };
        if let Some(error) = refused {
            self.done(order, only(Outcome::Declined(error)), Also::default());
            return Ok(());
        }
        let runs = self.runs()?;
        let now = self.clock.now();
        let turns = runs.turns(&subscribers, now).await.map_err(|error| failed(&error))?;
        let (mut commit, mut starts) = (Commit::default(), Vec::new());
        for (new, turn) in subscribers.iter().zip(&turns) {
            if !matches!(turn, Turn::Made | Turn::First(..)) {
                continue; // the trigger takes it for the same as an earlier one
            }
            let id = id_of(self.run, order.number, &new.workflow.name, now);
            commit = runs
                .with_run(commit, id, new, self.depth + 1, now)
                .await
                .map_err(|error| failed(&error))?
                .absent(keys::record(&self.tenant, id));
            starts.push(id);
        }
        let all = once::ids_of(&turns, starts.iter().copied());
        commit = once::remember(commit, &subscribers, &turns, &all, now).map_err(|error| failed(&error))?;
        if let Did::Publish { runs, .. } = &mut order.asked.did {
            runs.clone_from(&all);
        }
        if !starts.is_empty() {
            match self.guests.room(&self.tenant, starts.len() as u64, commit.bytes()) {
                // The step's own commit cannot fail for the runs' sake.
                Ok(room) => room.keep(),
                Err(why) => {
                    self.done(order, only(Outcome::Declined(no_room(&why))), Also::default());
                    return Ok(());
                }
            }
        }
        let count = Outcome::Answered(all.len().to_string());
        self.done(order, only(count), Also { commit, starts, ..Also::default() });
        self.flush().await // the subscribers' runs are somebody else's business: at once
    }
}

/// A run that starts others without end is told to wait, like any other caller.
fn no_room(why: &NoRoom) -> CallError {
    tracing::warn!(%why, "a run could not start another");
    CallError::RateLimited(u64::try_from(why.retry_after().as_millis()).ok())
}
