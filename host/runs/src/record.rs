//! The stored shapes: what is under which of a run's keys. Nothing else in
//! the crate knows them as JSON.
//!
//! A run is three values. [`Record`] is small, is rewritten with each step
//! and is all that a list reads; [`Given`] is what it started with and never
//! changes; [`Ending`] is written once. Each step is one value more.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use host_model::bounds::{Bounds, BoundsSpec};
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::{MessageId, RunId};
use host_model::message::Message;
use host_model::name::{ConnectionName, EndpointName, FieldName, PackageRef, TenantId, WorkflowName};
use host_model::outcome::{LogLine, Outcome, Usage};
use host_model::resource::Workflow;
use host_model::retry::Retry;
use host_model::run::{
    FailedStep, Failure, Intervention, ReplayOf, Run, RunStatus, StartedBy, Tested, Try, Wait,
};
use serde::{Deserialize, Serialize};

use crate::ask::{Said, cut};
use crate::search::Posted;

/// A text in a value, or, if the value would not fit the store, the blob that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Payload {
    Here(String),
    Blob(Digest),
}

/// A value whose texts may be moved into blobs.
pub(crate) trait Spills: Serialize + Send + Sync {
    /// Its texts.
    fn payloads(&mut self) -> Vec<&mut Payload>;
}

/// Whom a role calls, and which endpoints there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wire {
    pub(crate) connection: ConnectionName,
    pub(crate) endpoints: BTreeSet<EndpointName>,
}

/// The workflow's roles as they were when the run was accepted.
pub(crate) type Wiring = BTreeMap<FieldName, Wire>;

/// How many characters a run's record keeps of what a failed step asked for:
/// enough to recognise it; the step itself has all of it.
pub(crate) const SAID: usize = 200;

/// The run's message without its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) id: MessageId,
    pub(crate) source: String,
    pub(crate) kind: String,
    pub(crate) subject: Option<String>,
    pub(crate) time: Timestamp,
}

/// What changes about a run, and what a list shows of it: names and bounded
/// texts only, so it is always small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Record {
    pub(crate) id: RunId,
    pub(crate) tenant: TenantId,
    pub(crate) workflow: WorkflowName,
    pub(crate) package: PackageRef,
    pub(crate) digest: Digest,
    pub(crate) started_by: StartedBy,
    pub(crate) status: RunStatus,
    pub(crate) message: Envelope,
    pub(crate) accepted_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) attempts: u32,
    pub(crate) usage: Usage,
    pub(crate) steps: u32,
    /// The process that has taken it up and has not given it back.
    pub(crate) taken_by: Option<u64>,
    /// How many processes ended while they had it, since it last got a step further.
    pub(crate) fruitless: u32,
    /// How many further tries its steps had together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) retries: u32,
    /// The last of its steps that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failed_step: Option<FailedStep>,
    /// Why it did not succeed, once it has ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    /// The business keys, at most [`host_model::search::MAX_KEYS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) keys: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<Timestamp>,
    /// It has replied early; the reply is a value of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replied: bool,
    /// How many runs deep it was started: by a run, or by what a run published.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) depth: u8,
    /// What it waits for while it is parked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) waits: Vec<Wait>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay_of: Option<ReplayOf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replayed_by: Option<RunId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) interventions: Vec<Intervention>,
    /// The connections that it called, at most [`crate::search::MAX_CONNECTIONS`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) connections: BTreeSet<ConnectionName>,
    /// Its entries in the lists that it is found by, as they are in the store.
    #[serde(skip)]
    pub(crate) posted: Posted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test: Option<Tested>,
}

fn is_zero<T: Default + PartialEq>(count: &T) -> bool {
    *count == T::default()
}

/// What a run started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) data: Payload,
    /// JSON of [`Wiring`]: its size is the manifest author's choice, so it may spill.
    pub(crate) wiring: Payload,
    pub(crate) bounds: BoundsSpec,
    /// What the run's randomness grows from.
    pub(crate) seed: [u8; 32],
    /// The blob with the text that the workflow was set up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Digest>,
    /// Of a replay that took steps over: when the first run's clock started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// Of a replay that took steps over: the run whose idempotency keys its steps have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys_of: Option<RunId>,
    /// Under which address the host was reached when the run was accepted: a
    /// callback's URL is data that the workflow may pass on, so it must not
    /// change when the host moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// How its steps are tried again.
    #[serde(default)]
    pub(crate) retry: Retry,
    /// How many milliseconds after its acceptance it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<u64>,
    /// Of a test: JSON of the [`crate::script::Script`] that it is played with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) script: Option<Payload>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// JSON of an `Outcome<String>`.
    pub(crate) outcome: Payload,
    /// JSON of the workflow's log.
    pub(crate) log: Payload,
}

/// The early answer of a run, one JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replied(pub(crate) Payload);

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Did {
    Call { role: String, connection: Option<ConnectionName>, endpoint: String, input: Payload },
    Sleep { ms: u64 },
    SleepUntil { time_ms: u64 },
    Event { name: String, timeout_ms: Option<u64> },
    Workflow { workflow: String, run: Option<RunId>, input: Payload },
    Publish { topic: String, data: Payload, runs: Vec<RunId> },
    Reply { answer: Payload },
    SetKey { name: String, value: String },
    OnCancel { role: String, endpoint: String, input: Payload },
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StepRecord {
    pub(crate) number: u32,
    pub(crate) completed: u32,
    pub(crate) did: Did,
    /// The digest of all that was asked: a replay must ask the same.
    pub(crate) asked: Digest,
    pub(crate) idempotency_key: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    /// JSON of an `Outcome<String>`.
    pub(crate) outcome: Payload,
    pub(crate) usage: Usage,
    /// JSON of the connector's log.
    pub(crate) log: Payload,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tries: Vec<Try>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gave_up: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
}

/// When a run that is accepted now is ended.
pub(crate) fn deadline_of(given: &Given, now: Timestamp) -> Option<Timestamp> {
    let by = TimeDelta::try_milliseconds(i64::try_from(given.deadline_ms?).ok()?)?;
    now.checked_add_signed(by)
}

impl Spills for Given {
    fn payloads(&mut self) -> Vec<&mut Payload> {
        [&mut self.data, &mut self.wiring].into_iter().chain(&mut self.script).collect()
    }
}

impl Spills for Ending {
    fn payloads(&mut self) -> Vec<&mut Payload> {
        vec![&mut self.outcome, &mut self.log]
    }
}

impl Spills for Replied {
    fn payloads(&mut self) -> Vec<&mut Payload> {
        vec![&mut self.0]
    }
}

impl Spills for StepRecord {
    fn payloads(&mut self) -> Vec<&mut Payload> {
        let mut all = vec![&mut self.outcome, &mut self.log];
        match &mut self.did {
            Did::Call { input: text, .. }
            | Did::Workflow { input: text, .. }
            | Did::Publish { data: text, .. }
            | Did::Reply { answer: text }
            | Did::OnCancel { input: text, .. } => all.push(text),
            Did::Sleep { .. } | Did::SleepUntil { .. } | Did::Event { .. } | Did::SetKey { .. } => {}
        }
        all
    }
}

impl StepRecord {
    /// The step, which failed so, as the run's record keeps it.
    pub(crate) fn failed(&self, kind: &str) -> FailedStep {
        FailedStep {
            number: self.number,
            asked: cut(&Said(&self.did).to_string(), SAID),
            kind: kind.to_owned(),
            place: self.place.clone(),
            tries: u32::try_from(self.tries.len()).unwrap_or(u32::MAX).saturating_add(1),
        }
    }

    /// About how many bytes it takes in the store.
    pub(crate) fn bytes(&self) -> usize {
        let text = |payload: &Payload| match payload {
            Payload::Here(text) => text.len(),
            Payload::Blob(_) => 0,
        };
        let asked = match &self.did {
            Did::Call { input: payload, .. }
            | Did::Workflow { input: payload, .. }
            | Did::Publish { data: payload, .. }
            | Did::Reply { answer: payload }
            | Did::OnCancel { input: payload, .. } => text(payload),
            Did::Sleep { .. } | Did::SleepUntil { .. } | Did::Event { .. } | Did::SetKey { .. } => 0,
        };
        asked + text(&self.outcome) + text(&self.log)
    }
}

impl Record {
    /// How it failed, if it did: one of [`host_model::search::ERRORS`].
    pub(crate) fn error(&self) -> Option<&str> {
        Some(self.failure.as_ref()?.kind.as_str())
    }

    /// The run as it is shown, from its parts.
    pub(crate) fn into_run(self, data: String, outcome: Option<Outcome<String>>, log: Vec<LogLine>) -> Run {
        let Envelope { id, source, kind, subject, time } = self.message;
        Run {
            id: self.id,
            tenant: self.tenant,
            workflow: self.workflow,
            package: self.package,
            digest: self.digest,
            started_by: self.started_by,
            status: self.status,
            input: Message { id, source, kind, subject, time, data },
            accepted_at: self.accepted_at,
            finished_at: self.finished_at,
            attempts: self.attempts,
            outcome,
            failure: self.failure,
            usage: self.usage,
            steps: self.steps,
            log,
            keys: self.keys,
            deadline: self.deadline,
            reply: None,
            waits: self.waits,
            replay_of: self.replay_of,
            replayed_by: self.replayed_by,
            interventions: self.interventions,
            test: self.test,
        }
    }
}

/// The roles of a workflow as a run keeps them.
pub(crate) fn wiring_of(workflow: &Workflow) -> Wiring {
    let wire = |(role, connection): (&FieldName, &ConnectionName)| {
        let endpoints = workflow.package.manifest.roles.get(role)?.endpoints.clone();
        Some((role.clone(), Wire { connection: connection.clone(), endpoints }))
    };
    workflow.roles.iter().filter_map(wire).collect()
}

/// Bounds as they are stored: every one is set.
pub(crate) fn bounds_to_spec(bounds: &Bounds) -> BoundsSpec {
    BoundsSpec {
        fuel: Some(bounds.fuel),
        wall_ms: Some(u64::try_from(bounds.wall.as_millis()).unwrap_or(u64::MAX)),
        memory_bytes: Some(bounds.memory),
        host_call_bytes: Some(bounds.host_call_bytes),
        handles: Some(bounds.handles),
        outbound_calls: Some(bounds.outbound_calls),
        body_bytes: Some(bounds.body_bytes),
        log_bytes: Some(bounds.log_bytes),
        output_bytes: Some(bounds.output_bytes),
    }
}

/// The bounds that [`bounds_to_spec`] stored.
pub(crate) fn bounds_from_spec(spec: &BoundsSpec) -> Bounds {
    const OPEN: Bounds = Bounds {
        fuel: u64::MAX,
        wall: std::time::Duration::MAX,
        memory: u64::MAX,
        host_call_bytes: u64::MAX,
        handles: u32::MAX,
        outbound_calls: u32::MAX,
        body_bytes: u64::MAX,
        log_bytes: u64::MAX,
        output_bytes: u64::MAX,
    };
    OPEN.lowered_by(spec)
}

#[test]
fn bounds_come_back_as_they_were() {
    let bounds = Bounds { fuel: 7, ..Bounds::for_workflows() };
    assert_eq!(bounds_from_spec(&bounds_to_spec(&bounds)), bounds);
}
