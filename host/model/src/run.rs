//! What is known of a run: stored by `host/runs`, shown by the API and the CLI.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounds::BoundsSpec;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{RunId, TokenId};
use crate::message::Message;
use crate::name::{ConnectionName, PackageRef, ScheduleName, TenantId, TopicName, WorkflowName};
use crate::outcome::{LogLine, Outcome, Usage};
use crate::retry::Retry;

/// How many levels deep runs may start runs; said in `wit/`. Deeper than any
/// composition that people read, and soon the end of one that starts itself.
pub const MAX_DEPTH: u8 = 8;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Durable, not yet done. It will be run, also after a crash.
    Accepted,
    /// Parked: it waits for a time, an event or another run, and takes no memory.
    Waiting,
    /// Parked by somebody's hand until it is resumed.
    Paused,
    /// Cancelled by somebody's hand; what undoes it is being called.
    Cancelling,
    /// Its workflow answered.
    Succeeded,
    /// Its workflow declined, crashed or passed a bound.
    Failed,
    /// It asked for something other than its journal says; nothing was guessed.
    Diverged,
    /// Cancelled by somebody's hand, and undone as far as its workflow said how.
    Cancelled,
    /// Ended by somebody's hand, without undoing anything.
    Terminated,
}

impl RunStatus {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Waiting,
        Self::Paused,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Diverged,
        Self::Cancelled,
        Self::Terminated,
    ];

    /// The word in the API, the CLI and the logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Cancelling => "cancelling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Diverged => "diverged",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
        }
    }

    /// Whether the run has ended, for good.
    pub fn is_over(self) -> bool {
        match self {
            Self::Accepted | Self::Waiting | Self::Paused | Self::Cancelling => false,
            Self::Succeeded | Self::Failed | Self::Diverged | Self::Cancelled | Self::Terminated => true,
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
    /// A message published to this topic.
    Topic(TopicName),
    /// A step of this run, which waits for it.
    Run(RunId),
    /// A call of `/run/{tenant}/{workflow}`, or `wharf run`, with this token;
    /// none for tests, and if a host took it that did not tell yet.
    Manual(Option<TokenId>),
}

/// What somebody did to a run by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intervention {
    /// When.
    pub at: Timestamp,
    /// `paused`, `resumed`, `cancelled`, `terminated`, `replayed as …`.
    pub what: String,
    /// The token's name: who.
    pub who: String,
    /// In their own words; may be empty.
    pub why: String,
}

/// Which run a run repeats, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplayOf {
    /// The run that is repeated.
    pub run: RunId,
    /// The first step that is done anew; those before it were taken over.
    pub from_step: u32,
    /// No outside effect: a step without a recorded answer ends it.
    pub dry: bool,
}

/// What a run tests: it stands apart from its workflow's other runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tested {
    /// The step; all of the workflow if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// From the step to the end, not the step alone.
    pub to_end: bool,
    /// Against the real connections. Otherwise nothing leaves the host: answers
    /// are given or recorded, and what has none ends the test.
    pub live: bool,
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
    /// Why it did not succeed, if it ended so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// What the workflow and its steps used together.
    pub usage: Usage,
    /// How many steps are recorded.
    pub steps: u32,
    /// What the workflow itself logged.
    #[serde(default)]
    pub log: Vec<LogLine>,
    /// The business keys by which it is found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// When it is ended if it has not ended by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deadline: Option<Timestamp>,
    /// The answer that it gave early, one JSON text.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reply: Option<String>,
    /// What it waits for, if it is parked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// The run that it repeats.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replay_of: Option<ReplayOf>,
    /// The run that repeats it, the latest if there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replayed_by: Option<RunId>,
    /// What was done to it by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interventions: Vec<Intervention>,
    /// It is a test, of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Tested>,
}

/// A run that did not succeed, on the list of those that nobody has looked after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetter {
    /// The run, as in a list: with its outcome and its failure.
    pub run: Run,
    /// The tries of the step that failed, but for the last one if that is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Try>,
    /// Why that step was not tried again although its error may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
}

/// Something that a parked run waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "for")]
pub enum Wait {
    /// An instant.
    #[serde(rename_all = "kebab-case")]
    Time {
        /// When.
        until: Timestamp,
    },
    /// An event from outside.
    #[serde(rename_all = "kebab-case")]
    Event {
        /// Its name within the run.
        name: String,
        /// The longest that it waits.
        until: Option<Timestamp>,
        /// Where the outside sends it.
        url: String,
    },
    /// The end of another run.
    #[serde(rename_all = "kebab-case")]
    Run {
        /// Which.
        run: RunId,
    },
    /// The next try of a call that failed.
    #[serde(rename_all = "kebab-case")]
    Retry {
        /// The step.
        step: u32,
        /// When.
        until: Timestamp,
        /// How often it was tried so far.
        #[serde(default)]
        tries: u32,
        /// Why the last try failed.
        #[serde(default)]
        why: String,
    },
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
    /// A pause until an instant.
    #[serde(rename_all = "kebab-case")]
    SleepUntil {
        /// Milliseconds since 1970-01-01T00:00:00Z.
        time_ms: u64,
    },
    /// An event from outside.
    #[serde(rename_all = "kebab-case")]
    Event {
        /// Its name within the run.
        name: String,
        /// How long it was waited for at most.
        timeout_ms: Option<u64>,
    },
    /// A run of another workflow.
    #[serde(rename_all = "kebab-case")]
    Workflow {
        /// Which.
        workflow: String,
        /// The run; none if there is no such workflow.
        run: Option<RunId>,
        /// The data of its message, one JSON text.
        input: String,
    },
    /// A message for the workflows that subscribe to a topic.
    #[serde(rename_all = "kebab-case")]
    Publish {
        /// The topic.
        topic: String,
        /// One JSON text.
        data: String,
        /// The runs that it started.
        runs: Vec<RunId>,
    },
    /// An early answer to whoever waits for the run.
    #[serde(rename_all = "kebab-case")]
    Reply {
        /// One JSON text.
        answer: String,
    },
    /// A business key.
    #[serde(rename_all = "kebab-case")]
    SetKey {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A call that is made if the run is cancelled.
    #[serde(rename_all = "kebab-case")]
    OnCancel {
        /// The role.
        role: String,
        /// The endpoint.
        endpoint: String,
        /// One JSON text.
        input: String,
    },
}

/// A try of a step's call that failed and was tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Try {
    /// When it failed.
    pub at: Timestamp,
    /// The case of its error: `rate-limited` or `retry`.
    pub kind: String,
    /// Why, in one line.
    pub why: String,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
}

/// Why a run did not succeed, in words that a filter can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// The case of the error (`permanent`), the bound that was passed
    /// (`deadline`), `trapped`, `bad-answer` or `diverged`.
    pub kind: String,
    /// Where in the workflow's source it was: the last place that it named
    /// before it ended without a word of its own, by a bound or a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The last of its steps that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<FailedStep>,
    /// How many further tries its steps had together.
    #[serde(default)]
    pub retries: u32,
    /// How its steps were tried again.
    pub retry: Retry,
    /// What it was allowed to use.
    pub bounds: BoundsSpec,
    /// How long after its acceptance it would have been ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailedStep {
    /// Its number.
    pub number: u32,
    /// What it asked for, its input cut.
    pub asked: String,
    /// The case of its error.
    pub kind: String,
    /// The place in the workflow's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How often it was tried.
    pub tries: u32,
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
    /// The tries before the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Try>,
    /// Why it was not tried again although its error may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
    /// The place in the workflow's source that asked for it: `lead.yaml:12 create`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

#[test]
fn a_run_that_was_started_by_hand_before_tokens_were_noted_is_still_read() {
    let read = |text| serde_json::from_str::<StartedBy>(text).unwrap();
    assert_eq!(read(r#"{"by":"manual"}"#), StartedBy::Manual(None));
    assert_eq!(read(r#"{"by":"manual","name":null}"#), StartedBy::Manual(None));
}
