//! What is known of a run: stored by `host/runs`, shown by the API and the CLI.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::RunId;
use crate::message::Message;
use crate::name::{ConnectionName, PackageRef, ScheduleName, TenantId, WorkflowName};
use crate::outcome::{LogLine, Outcome, Usage};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Durable, not yet done. It will be run, also after a crash.
    Accepted,
    /// Its workflow answered.
    Succeeded,
    /// Its workflow declined, crashed or passed a bound.
    Failed,
    /// It asked for something other than its journal says; nothing was guessed.
    Diverged,
}

impl RunStatus {
    /// The word in the API, the CLI and the logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
        }
    }
}

/// What started a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "name")]
pub enum StartedBy {
    /// A message that this connection received.
    Webhook(ConnectionName),
    /// A fire of this schedule.
    Schedule(ScheduleName),
    /// A call of `/run/{tenant}/{workflow}`, or `wharf run`.
    Manual,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The package that the run is pinned to.
    pub package: PackageRef,
    /// The package's content.
    pub digest: Digest,
    /// What started it.
    pub started_by: StartedBy,
    /// Where it stands.
    pub status: RunStatus,
    /// The message it runs for.
    pub input: Message,
    /// When it was accepted, durably.
    pub accepted_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finished_at: Option<Timestamp>,
    /// How often it was taken up: 1 without a crash.
    pub attempts: u32,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Outcome<String>>,
    /// What the workflow and its steps used together.
    pub usage: Usage,
    /// How many steps are recorded.
    pub steps: u32,
    /// What the workflow itself logged.
    #[serde(default)]
    pub log: Vec<LogLine>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "effect")]
pub enum Effect {
    /// A call of an outbound endpoint.
    #[serde(rename_all = "kebab-case")]
    Call {
        /// The role in the workflow's manifest.
        role: String,
        /// The connection that it mapped to, if any.
        connection: Option<ConnectionName>,
        /// The endpoint.
        endpoint: String,
        /// One JSON text.
        input: String,
    },
    /// A pause.
    #[serde(rename_all = "kebab-case")]
    Sleep {
        /// How long.
        ms: u64,
    },
}

/// One effect of a run, recorded when it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Its place in the order that the workflow asked, from 0.
    pub number: u32,
    /// Its place in the order of completion, from 0.
    pub completed: u32,
    /// What it did.
    pub effect: Effect,
    /// The key that the outside system was offered: the same at every repetition.
    pub idempotency_key: String,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it was done.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome<String>,
    /// What it used.
    pub usage: Usage,
    /// What the connector logged.
    #[serde(default)]
    pub log: Vec<LogLine>,
}
