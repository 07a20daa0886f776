//! What is done to runs by hand.

use std::num::NonZeroUsize;
use std::sync::Arc;

use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::name::{TenantId, WorkflowName};
use host_model::resource::Workflow;
use host_model::run::{DeadLetter, Run};

use super::PortError;

/// What is done to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It stops in good order, until it is resumed.
    Pause,
    /// It goes on.
    Resume,
    /// It stops in good order, and what its workflow named is undone.
    Cancel,
    /// It ends now, and nothing is undone.
    Terminate,
}

/// Who does it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The token's name.
    pub who: String,
    /// In their own words; may be empty.
    pub why: String,
}

/// Where a replay begins to do things itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the start.
    Start,
    /// At the step that failed last.
    Failed,
    /// At this step.
    Step(u32),
}

/// A replay to be.
#[derive(Clone, Debug)]
pub struct Replay {
    /// From where.
    pub from: From,
    /// On this workflow, as it is now, instead of what the run is pinned to.
    pub current: Option<Arc<Workflow>>,
    /// Other data for the message, one JSON text.
    pub input: Option<String>,
    /// Without any outside effect.
    pub dry: bool,
    /// Who, and why.
    pub by: By,
    /// The same request makes one replay of a run.
    pub request: Option<String>,
    /// Not if it was replayed before: then that replay is the answer.
    pub unless_replayed: bool,
}

/// A replay that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The new run.
    pub run: RunId,
    /// It was made before.
    pub repeated: bool,
}

/// Which dead letters.
#[derive(Clone, Debug)]
pub struct LetterQuery {
    /// Only of this workflow.
    pub workflow: Option<WorkflowName>,
    /// Only those that failed like this.
    pub kind: Option<String>,
    /// Those after this run's.
    pub after: Option<RunId>,
    /// At most so many.
    pub limit: NonZeroUsize,
}

/// A page of dead letters, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<DeadLetter>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<RunId>,
}

/// Why it was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepairError {
    /// There is no such run of this tenant.
    #[error("there is no such run")]
    Absent,
    /// The run stands where that cannot be done to it: a code, and why.
    #[error("{1}")]
    Clash(&'static str, String),
    /// The request does not fit the run: a code, and why.
    #[error("{1}")]
    Wrong(&'static str, String),
    /// The host did not do it.
    #[error(transparent)]
    Host(#[from] PortError),
}

/// Runs, as a person repairs them.
pub trait Repair: Send + Sync + 'static {
    /// Does it; gives the run as it then is.
    fn order<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        order: Order,
        by: By,
    ) -> BoxFuture<'a, Result<Run, RepairError>>;

    /// Makes a new run of one that has ended.
    fn replay<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        replay: Replay,
    ) -> BoxFuture<'a, Result<Replayed, RepairError>>;

    /// The runs that did not succeed and that nobody has replayed or dismissed.
    fn dead_letters<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: LetterQuery,
    ) -> BoxFuture<'a, Result<LetterPage, PortError>>;

    /// Takes a run off that list; gives the run as it then is.
    fn dismiss<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        by: By,
    ) -> BoxFuture<'a, Result<Run, RepairError>>;
}
