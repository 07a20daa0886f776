//! What a replay is, and why there may be none.

use std::sync::Arc;

use host_model::digest::Digest;
use host_model::id::RunId;
use host_model::message::BadDraft;
use host_model::name::PackageRef;
use host_model::resource::Workflow;
use host_store::StoreError;

use super::decide::RunStatusWord;
use super::trace::By;
use crate::guests::{HostFailure, NoRoom};
use crate::idempotency::MAX_KEY;

/// Where the new run begins to do things itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At its start, with keys of its own.
    Start,
    /// At the step that failed last.
    Failed,
    /// At this step.
    Step(u32),
}

/// What the new run runs.
#[derive(Clone, Debug)]
pub enum On {
    /// What the old one ran: package, set-up and bounds.
    Pinned,
    /// The workflow as it is now.
    Current(Arc<Workflow>),
}

/// A replay to be.
#[derive(Clone, Debug)]
pub struct Replay {
    /// From where.
    pub from: From,
    /// On what.
    pub on: On,
    /// Other data for the message, one JSON text.
    pub input: Option<String>,
    /// No outside effect: every recorded answer is used, and what has none ends the run.
    pub dry: bool,
    /// Who, and why.
    pub by: By,
    /// The same request makes one replay of a run, however often it is sent.
    pub request: Option<String>,
    /// Not if the run was replayed before: then that replay is the answer.
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

/// Why a run was not replayed. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such run of this tenant.
    #[error("there is no run {0}")]
    Absent(RunId),
    /// It has not ended.
    #[error("{run} has not ended, it is {status}; wait for it, or cancel or terminate it first")]
    NotOver {
        /// Which run.
        run: RunId,
        /// Where it stands.
        status: RunStatusWord,
    },
    /// There is nothing to start at.
    #[error("no step of {run} failed (it {status}); replay it from the start, or from a step that you name")]
    NoFailedStep {
        /// Which run.
        run: RunId,
        /// How it ended.
        status: RunStatusWord,
    },
    /// There is no such step.
    #[error("{run} has no step {step}; {there}")]
    NoSuchStep {
        /// Which run.
        run: RunId,
        /// Which step.
        step: u32,
        /// Which ones there are.
        there: String,
    },
    /// Its package is gone.
    #[error(
        "{run} is pinned to package `{package}` ({digest}), which is gone; publish it again, or replay on the current version"
    )]
    PackageGone {
        /// Which run.
        run: RunId,
        /// The package.
        package: PackageRef,
        /// Its content.
        digest: Digest,
    },
    /// The new input is no message.
    #[error("the new input cannot be used")]
    Input(#[from] BadDraft),
    /// The input is not what the workflow takes.
    #[error("the input is not what the workflow takes: {0}")]
    Unfit(String),
    /// The request's id is empty or too long.
    #[error("a request id must have 1 to {MAX_KEY} bytes, this one has {0}")]
    RequestLength(usize),
    /// The same request asked for something else before.
    #[error("this request id was used to replay otherwise; use a new one for a new request")]
    RequestReused,
    /// The run is a replay that the same request made.
    #[error("{0} was made by this very request")]
    OwnProduct(RunId),
    /// Somebody changed it at the same time.
    #[error("{0} was changed by somebody else at the same time; try again")]
    Contended(RunId),
    /// The host is stopping.
    #[error("the host is stopping; send it again")]
    Stopping,
    /// A quota of the tenant's is used up, or the host is short of something.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Nobody knows whether the package is there.
    #[error("cannot find the package")]
    Package(#[source] HostFailure),
    /// The store failed; whether the replay was made is not known.
    #[error("cannot make the replay durable")]
    Store(#[from] StoreError),
    /// A bug ended the task; whether the replay was made is not known.
    #[error("replaying was interrupted by a failure of the host")]
    Interrupted,
}
