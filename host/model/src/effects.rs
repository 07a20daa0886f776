//! What a workflow may do: the port between the sandbox, which offers these
//! as imports, and the run, which journals them.

use std::future::Future;
use std::pin::Pin;

use crate::clock::Timestamp;
use crate::outcome::CallError;
use crate::retry::OwnTries;

/// A future that can be kept and sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A started effect: its step's number within the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pending(pub u32);

/// The run cannot go on here: the journal could not be written, or the
/// workflow asked for something other than its journal says. Traps the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped: {0}")]
pub struct Stopped(pub String);

/// What a workflow asks for. The guest wrote every text in it: nothing about
/// them is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A call of an endpoint, by the role that the manifest names.
    Call {
        /// The role.
        role: String,
        /// The endpoint.
        endpoint: String,
        /// One JSON text.
        input: String,
        /// How it is tried, if not as the workflow's set-up says.
        tries: Option<OwnTries>,
    },
    /// A pause of so many milliseconds of the run's clock.
    Sleep {
        /// How long.
        ms: u64,
    },
    /// A pause until an instant.
    SleepUntil {
        /// Milliseconds since 1970-01-01T00:00:00Z.
        time_ms: u64,
    },
    /// An event from outside.
    Event {
        /// Its name within the run.
        name: String,
        /// How long it is waited for.
        timeout_ms: Option<u64>,
    },
    /// A run of another workflow of the tenant.
    Workflow {
        /// Its name.
        workflow: String,
        /// The data of the message that it runs for, one JSON text.
        input: String,
    },
    /// A message for every workflow that subscribes to a topic.
    Publish {
        /// The topic.
        topic: String,
        /// One JSON text.
        data: String,
    },
    /// An answer, now, to whoever waits for the run.
    Reply {
        /// One JSON text.
        answer: String,
    },
    /// A business key by which the run is found.
    SetKey {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A call that undoes what the run did so far, should it be cancelled.
    OnCancel {
        /// The role.
        role: String,
        /// The endpoint.
        endpoint: String,
        /// One JSON text.
        input: String,
    },
}

/// The effects of one run. The guest is synchronous, so intents arrive in the
/// order that its code has them; that order numbers the steps.
pub trait Effects: Send + Sync {
    /// Starts what is asked for.
    fn start(&self, intent: Intent) -> BoxFuture<'_, Result<Pending, Stopped>>;

    /// Waits for something started; again gives the same. An answer is one
    /// JSON text: `null` of a pause, the number of runs of a publication.
    fn wait(&self, pending: Pending) -> BoxFuture<'_, Result<Result<String, CallError>, Stopped>>;

    /// Waits for the first of several; gives its place in the list, which is not empty.
    fn wait_any(&self, pending: Vec<Pending>) -> BoxFuture<'_, Result<usize, Stopped>>;

    /// Where the outside sends an event that was started.
    fn callback_url(&self, event: Pending) -> String;

    /// Names the place in the workflow's source that asks for what follows.
    fn mark(&self, place: String);

    /// The text that the workflow was set up with; empty if there is none.
    fn definition(&self) -> BoxFuture<'_, Result<String, Stopped>>;

    /// The run's time: when the last step it has seen was done.
    fn now(&self) -> Timestamp;

    /// The run's randomness: the same at every replay.
    fn fill_random(&self, bytes: &mut [u8]);
}
