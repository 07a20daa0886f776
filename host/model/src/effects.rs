//! What a workflow may do: the port between the sandbox, which offers these
//! as imports, and the run, which journals them.

use std::future::Future;
use std::pin::Pin;

use crate::clock::Timestamp;
use crate::outcome::CallError;

/// A future that can be kept and sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A started call: its step's number within the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pending(pub u32);

/// The run cannot go on here: the journal could not be written, or the
/// workflow asked for something other than its journal says. Traps the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped: {0}")]
pub struct Stopped(pub String);

/// The effects of one run. The guest is synchronous, so calls arrive in the
/// order that its code makes them; that order numbers the steps.
pub trait Effects: Send + Sync {
    /// Starts a call of an endpoint by the role that the manifest names.
    fn start(&self, role: String, endpoint: String, input: String)
    -> BoxFuture<'_, Result<Pending, Stopped>>;

    /// Waits for a started call; again gives the same.
    fn wait(&self, pending: Pending) -> BoxFuture<'_, Result<Result<String, CallError>, Stopped>>;

    /// Waits for the first of several; gives its place in the list, which is not empty.
    fn wait_any(&self, pending: Vec<Pending>) -> BoxFuture<'_, Result<usize, Stopped>>;

    /// Sleeps this many milliseconds of the run's clock.
    fn sleep_ms(&self, ms: u64) -> BoxFuture<'_, Result<(), Stopped>>;

    /// The run's time: when the last step it has seen was done.
    fn now(&self) -> Timestamp;

    /// The run's randomness: the same at every replay.
    fn fill_random(&self, bytes: &mut [u8]);
}
