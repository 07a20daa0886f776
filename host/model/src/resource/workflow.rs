//! Workflows: code in a package, or steps that somebody wrote, and what starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Package, ResolveError, known, missing};
use crate::bounds::{Bounds, BoundsSpec};
use crate::digest::Digest;
use crate::manifest::{Manifest, Role, World};
use crate::name::{ConnectionName, EndpointName, FieldName, PackageRef, TenantId, TopicName, WorkflowName};
use crate::retry::{BadRetry, Retry, RetrySpec, check_deadline};

/// The longest expression of a trigger, in bytes: a screen full of jq.
pub const MAX_EXPRESSION: usize = 2_000;
/// The longest window of a trigger's `deduplicate`: a month, so that what is
/// remembered stays bounded.
pub const MAX_WINDOW_S: u32 = 31 * 24 * 60 * 60;

/// Which messages are the same to a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deduplicate {
    /// A jq expression over the message; messages with the same result are the same.
    pub key: String,
    /// For so many seconds after a run was started.
    pub window_s: NonZeroU32,
}

/// What starts a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Trigger {
    /// A message that a connection emits.
    Webhook {
        /// The connection.
        connection: ConnectionName,
        /// Only messages of this kind; all of them if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Only messages for which this jq expression is `true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// One run for messages that are the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deduplicate: Option<Deduplicate>,
    },
    /// A message that somebody publishes to a topic.
    Topic {
        /// The topic.
        name: TopicName,
        /// Only messages for which this jq expression is `true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        /// One run for messages that are the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deduplicate: Option<Deduplicate>,
    },
}

impl Trigger {
    /// The expression that a message must pass, if any.
    pub fn when(&self) -> Option<&str> {
        match self {
            Self::Webhook { when, .. } | Self::Topic { when, .. } => when.as_deref(),
        }
    }

    /// Which messages are the same to it, if any are.
    pub fn deduplicate(&self) -> Option<&Deduplicate> {
        match self {
            Self::Webhook { deduplicate, .. } | Self::Topic { deduplicate, .. } => deduplicate.as_ref(),
        }
    }
}

/// The steps of a workflow as somebody wrote them, and what the checker made of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Source {
    /// The document, as it was applied.
    pub text: String,
    /// What messages call the file that it stood in.
    #[serde(default)]
    pub file: String,
    /// How many lines of the file came before the text.
    #[serde(default)]
    pub before: u64,
    /// What the host made of the text. Only the host writes this; what a
    /// caller sends is put aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Box<Checked>>,
}

/// What the checker made of a workflow's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// The package that interprets it.
    pub package: PackageRef,
    /// The blob that has the steps as the interpreter takes them.
    pub definition: Digest,
    /// Whom the steps call.
    pub uses: Vec<Use>,
    /// Which other workflows the steps start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Start>,
}

/// By what a workflow is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartBy {
    /// Its name.
    Workflow,
    /// A topic.
    Topic,
}

/// A step that starts other workflows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Start {
    /// How it says which.
    pub by: StartBy,
    /// The name of the workflow, or of the topic.
    pub name: String,
    /// The line of the file, from 1.
    pub line: u64,
    /// Whether every run that goes well does it; otherwise something decides.
    pub certain: bool,
}

/// A call that stands in a workflow's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Use {
    /// The connection.
    pub connection: ConnectionName,
    /// The endpoint.
    pub endpoint: EndpointName,
    /// The line of the file, from 1.
    pub line: u64,
}

/// `kind: workflow`: code in a `package`, or `steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WorkflowSpec {
    /// Its name within the tenant.
    pub name: WorkflowName,
    /// The workflow component, pinned; none if there are steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageRef>,
    /// Which connection plays each of the manifest's roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<FieldName, ConnectionName>,
    /// What starts it, besides `/run` and schedules.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// Bounds of each run, lower than the tenant's.
    #[serde(default)]
    pub bounds: BoundsSpec,
    /// How calls of its steps are tried again.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub retry: RetrySpec,
    /// How many seconds after its acceptance a run is ended if it has not
    /// ended by itself, parked or not; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u32>,
    /// What it does, as people write it. It is kept as the source's text, which
    /// alone has the lines that mistakes name.
    #[serde(default, skip_serializing)]
    pub steps: Option<ReadElsewhere>,
    /// What its runs answer at their end, beside the steps.
    #[serde(default, skip_serializing)]
    pub answer: Option<ReadElsewhere>,
    /// The text that the steps stood in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

fn is_usual(retry: &RetrySpec) -> bool {
    *retry == RetrySpec::default()
}

/// Something that is there, and that the checker reads from the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadElsewhere;

impl<'de> Deserialize<'de> for ReadElsewhere {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}

/// The most bytes of a workflow's text: a thousand lines; with the rest of the
/// resource it fits one value of the store.
pub const MAX_SOURCE: usize = 48 << 10;

/// Why a workflow is neither code nor steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWorkflow {
    /// Neither.
    #[error("it has neither `steps` nor a `package`: write what it does, or which package does it")]
    Neither,
    /// Both.
    #[error("it has `steps` and a `package`: keep the one that it is made of")]
    Both,
    /// `roles` beside `steps`.
    #[error("`roles` are for workflows in code: steps name their connections themselves")]
    Roles,
    /// The text is too long.
    #[error(
        "its text has {0} bytes, the limit is {MAX_SOURCE}: move a part into a workflow of its own and start it with `workflow`"
    )]
    TooLong(usize),
    /// An expression is too long.
    #[error("an expression of its triggers has {0} bytes, the limit is {MAX_EXPRESSION}")]
    Expression(usize),
    /// A window is too long.
    #[error("`window-s` of a trigger is {0}, the most is {MAX_WINDOW_S}, a month")]
    Window(u32),
    /// `retry` or `deadline-s` cannot be.
    #[error(transparent)]
    Retry(#[from] BadRetry),
}

impl WorkflowSpec {
    /// Sees that it is one of the two kinds of workflow, within bounds.
    pub fn check(&self) -> Result<(), BadWorkflow> {
        let steps = self.source.is_some() || self.steps.is_some();
        match (steps, &self.package) {
            (false, None) => return Err(BadWorkflow::Neither),
            (true, Some(_)) => return Err(BadWorkflow::Both),
            (true, None) if !self.roles.is_empty() => return Err(BadWorkflow::Roles),
            _ => {}
        }
        if let Some(source) = self.source.as_ref().filter(|source| source.text.len() > MAX_SOURCE) {
            return Err(BadWorkflow::TooLong(source.text.len()));
        }
        self.retry.check()?;
        self.deadline_s.map_or(Ok(()), check_deadline)?;
        for trigger in &self.triggers {
            let same = trigger.deduplicate();
            let expressions = trigger.when().into_iter().chain(same.map(|same| same.key.as_str()));
            if let Some(long) = expressions.map(str::len).find(|length| *length > MAX_EXPRESSION) {
                return Err(BadWorkflow::Expression(long));
            }
            if let Some(window) = same.map(|same| same.window_s.get()).filter(|it| *it > MAX_WINDOW_S) {
                return Err(BadWorkflow::Window(window));
            }
        }
        Ok(())
    }

    /// The package that runs it; `None` for steps that are not checked yet.
    pub fn run_by(&self) -> Option<&PackageRef> {
        let checked = self.source.as_ref().and_then(|source| source.checked.as_ref());
        checked.map(|checked| &checked.package).or(self.package.as_ref())
    }
}

/// A workflow, as used.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: WorkflowName,
    /// The component.
    pub package: Package,
    /// Who plays each role.
    pub roles: BTreeMap<FieldName, ConnectionName>,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// The blob with the text that it was set up with: the steps of a YAML workflow.
    pub definition: Option<Digest>,
    /// What each run may use.
    pub bounds: Bounds,
    /// How its steps are tried again.
    pub retry: Retry,
    /// How long after its acceptance a run is ended.
    pub deadline: Option<Duration>,
}

impl Workflow {
    /// Fits what the tenant wrote to what the manifest declares.
    pub fn resolve(
        tenant: TenantId,
        spec: WorkflowSpec,
        package: Package,
        ceiling: &Bounds,
    ) -> Result<Self, ResolveError> {
        if package.manifest.world != World::Workflow {
            return Err(ResolveError::World { package: package.package, want: "workflow" });
        }
        let checked = spec.source.and_then(|source| source.checked);
        let (package, roles, definition) = match checked {
            Some(checked) => {
                let definition = checked.definition;
                let (package, roles) = called(package, &checked.uses);
                (package, roles, Some(definition))
            }
            None => {
                known("roles", spec.roles.keys(), &package.manifest.roles, &package)?;
                if let Some(name) = package.manifest.roles.keys().find(|name| !spec.roles.contains_key(*name))
                {
                    return Err(missing("roles", name, &package));
                }
                (package, spec.roles, None)
            }
        };
        let bounds = ceiling.lowered_by(&package.manifest.bounds).lowered_by(&spec.bounds);
        Ok(Self {
            tenant,
            name: spec.name,
            package,
            roles,
            triggers: spec.triggers,
            definition,
            bounds,
            retry: spec.retry.resolve(),
            deadline: spec.deadline_s.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

/// The interpreter with the roles that the steps need: each connection plays
/// the role of its own name, and only the endpoints that the steps call can be
/// called there.
fn called(package: Package, uses: &[Use]) -> (Package, BTreeMap<FieldName, ConnectionName>) {
    let mut manifest = Manifest::clone(&package.manifest);
    let mut roles = BTreeMap::new();
    let mut endpoints: BTreeMap<FieldName, BTreeSet<EndpointName>> = BTreeMap::new();
    for used in uses {
        // Both are names of the one grammar, so this never fails.
        let Ok(role) = used.connection.as_str().parse::<FieldName>() else { continue };
        roles.insert(role.clone(), used.connection.clone());
        endpoints.entry(role).or_default().insert(used.endpoint.clone());
    }
    manifest.roles = endpoints
        .into_iter()
        .map(|(name, endpoints)| (name, Role { endpoints, ..Role::default() }))
        .collect();
    (Package { manifest: Arc::new(manifest), ..package }, roles)
}
