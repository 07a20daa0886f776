//! What a guest makes of the texts that people write: the steps of a workflow
//! and the expressions of its triggers. A stranger's text is read in the
//! sandbox only; here its answer is fitted to the workflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::manifest::{Direction, Manifest};
use host_model::name::{EndpointName, PackageName, SchemaRef, TenantId};
use host_model::outcome::Outcome;
use host_model::resource::{Checked, Connection, Package, Resource, Source, Start, Use, WorkflowSpec};
use host_schemas::shipped;
use host_store::Blobs;
use registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::cycles::{Cycle, cycles};
use super::resolve::{Packages, packages_of};
use super::stored::Written;
use super::{Catalog, Edit, EditError, Objection, Plan};
use crate::documents::place_of;
use crate::ports::{Calls, PortError};

/// The guest that reads steps and expressions.
const READER: &str = "wharf/expression";
/// What the connection to it is called, for logs.
const CONNECTION: &str = "wharf-expression";
/// The guest that interprets steps.
const INTERPRETER: &str = "wharf/flow";
/// The fuel of reading one text: a text of 48 KiB takes up to 300 million, as
/// measured; all of it is gone in a third of a second.
const READING_FUEL: u64 = 2_000_000_000;
/// What the reader is asked for steps.
const CHECK: &str = "check";
/// What the reader is asked for expressions.
const EVALUATE: &str = "evaluate";
/// What the reader is asked for a part of a tree.
const PART: &str = "part";

/// What the catalog needs to have texts read.
#[derive(Clone)]
pub struct Reader {
    /// Calls the guest.
    pub calls: Arc<dyn Calls>,
    /// Has the guest.
    pub registry: Registry,
    /// Where the trees go that runs interpret.
    pub blobs: Blobs,
}

/// What the reader is told of one outbound endpoint.
#[derive(Serialize)]
struct Offered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<&'a SchemaRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gives: Option<&'a SchemaRef>,
}

/// What there is around a workflow, for the reader. A connection that is
/// broken itself is `null`: it is not known what it offers.
#[derive(Serialize)]
struct Surroundings<'a> {
    connections: BTreeMap<&'a str, Option<BTreeMap<&'a str, Offered<'a>>>>,
    workflows: Vec<&'a str>,
    /// What the endpoints take, so that what can never fit is found at once.
    schemas: BTreeMap<String, &'a Value>,
}

#[derive(Serialize)]
struct Question<'a> {
    text: &'a str,
    file: &'a str,
    surroundings: &'a Surroundings<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PartQuestion<'a> {
    flow: &'a RawValue,
    step: &'a str,
    to_end: bool,
    given: Vec<(&'a str, &'a RawValue)>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    problems: Vec<Problem>,
    #[serde(default)]
    flow: Option<Box<RawValue>>,
    #[serde(default)]
    uses: Vec<Use>,
    #[serde(default)]
    starts: Vec<Start>,
}

#[derive(Deserialize)]
struct Problem {
    line: u64,
    #[serde(default)]
    column: Option<u64>,
    message: String,
    #[serde(default)]
    level: Level,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Level {
    #[default]
    Error,
    Warning,
}

/// What the reader made of a text.
enum Read {
    Well(Checked, Bytes, Vec<String>),
    Badly(Vec<(u64, Option<u64>, String)>),
}

/// Edits whose texts have been read, and what was found.
pub(crate) struct Looked {
    pub(crate) edits: Vec<Edit>,
    pub(crate) objections: Vec<Objection>,
    /// By the edit's place.
    pub(crate) warnings: BTreeMap<usize, Vec<String>>,
}

impl Reader {
    async fn ask(
        &self,
        tenant: &TenantId,
        endpoint: &str,
        input: String,
    ) -> Result<Outcome<String>, EditError> {
        let connection = self.connection(tenant).await?;
        let endpoint: EndpointName = endpoint.parse().map_err(|_| absent(READER))?;
        Ok(self.calls.call(connection, endpoint, input).await?.outcome)
    }

    /// The newest of a builtin package.
    async fn newest(&self, name: &str) -> Result<Package, EditError> {
        let parsed: PackageName = name.parse().map_err(|_| absent(name))?;
        self.registry.newest(&parsed).await?.ok_or_else(|| absent(name))
    }

    /// A connection to the reader, which needs no setting up and reaches nothing.
    async fn connection(&self, tenant: &TenantId) -> Result<Arc<Connection>, EditError> {
        let package = self.newest(READER).await?;
        let bounds = Bounds { fuel: READING_FUEL, ..Bounds::default() };
        let internal = |error: &dyn std::fmt::Display| PortError::Internal(error.to_string());
        let name = CONNECTION.parse().map_err(|error| internal(&error))?;
        let connection = Connection::bare(tenant.clone(), name, package, &bounds);
        Ok(Arc::new(connection.map_err(|error| internal(&error))?))
    }

    async fn read(
        &self,
        tenant: &TenantId,
        source: &Source,
        surroundings: &Surroundings<'_>,
    ) -> Result<Read, EditError> {
        let padded = padded(source);
        let question = Question { text: &padded, file: &source.file, surroundings };
        let question =
            serde_json::to_string(&question).map_err(|error| PortError::Internal(error.to_string()))?;
        let first = |message: String| Read::Badly(vec![(source.before + 1, None, message)]);
        let answer = match self.ask(tenant, CHECK, question).await? {
            Outcome::Answered(answer) => answer,
            other => return Ok(first(format!("the steps cannot be checked: {}", ended(&other)))),
        };
        let answer: Answer = match serde_json::from_str(&answer) {
            Ok(answer) => answer,
            Err(error) => return Ok(first(format!("the steps cannot be checked: {error}"))),
        };
        let (warnings, errors): (Vec<_>, Vec<_>) =
            answer.problems.into_iter().partition(|problem| problem.level == Level::Warning);
        match answer.flow {
            Some(flow) if errors.is_empty() => {
                let definition = Bytes::from(flow.get().to_owned());
                let package = self.newest(INTERPRETER).await?.package;
                let mut uses = answer.uses;
                uses.sort();
                uses.dedup_by(|a, b| (&a.connection, &a.endpoint) == (&b.connection, &b.endpoint));
                let checked =
                    Checked { package, definition: Digest::of(&definition), uses, starts: answer.starts };
                let warnings = warnings
                    .into_iter()
                    .map(|it| format!("{} {}: {}", source.file, place_of(it.line, it.column), it.message))
                    .collect();
                Ok(Read::Well(checked, definition, warnings))
            }
            None if errors.is_empty() => Ok(first("the checker gave nothing back".to_owned())),
            _ => Ok(Read::Badly(errors.into_iter().map(|it| (it.line, it.column, it.message)).collect())),
        }
    }

    /// What is wrong with the expressions of the triggers, one line each.
    async fn expressions(&self, tenant: &TenantId, spec: &WorkflowSpec) -> Result<Vec<String>, EditError> {
        let of = |trigger: &host_model::resource::Trigger| {
            let key = trigger.deduplicate().map(|same| same.key.clone());
            trigger.when().map(str::to_owned).into_iter().chain(key).collect::<Vec<_>>()
        };
        let expressions: Vec<String> = spec.triggers.iter().flat_map(of).collect();
        if expressions.is_empty() {
            return Ok(Vec::new());
        }
        let question = serde_json::json!({ "expressions": expressions, "check": true }).to_string();
        let answer = match self.ask(tenant, EVALUATE, question).await? {
            Outcome::Answered(answer) => answer,
            other => {
                return Ok(vec![format!("triggers: the expressions cannot be checked: {}", ended(&other))]);
            }
        };
        let answers: Vec<Evaluated> = serde_json::from_str(&answer)
            .map_err(|error| PortError::Internal(format!("`{READER}` gave a bad answer: {error}")))?;
        let bad = expressions.iter().zip(answers).filter_map(|(expression, answer)| {
            Some(format!("triggers: `{}` is no jq: {}", expression.escape_debug(), answer.error?))
        });
        Ok(bad.collect())
    }
}

/// What the reader says of one expression.
#[derive(Deserialize)]
struct Evaluated {
    #[serde(default)]
    error: Option<String>,
}

impl Catalog {
    /// The tree of one step of a workflow, or of all from it to the end, kept as a definition.
    pub(crate) async fn part(
        &self,
        tenant: &TenantId,
        definition: &Digest,
        step: &str,
        to_end: bool,
        given: &BTreeMap<String, Box<RawValue>>,
    ) -> Result<Digest, EditError> {
        let internal = |why: String| EditError::Port(PortError::Internal(why));
        let tree = self.reader.blobs.get(definition).await?;
        let tree = tree.ok_or_else(|| internal(format!("the definition {definition} is gone")))?;
        let flow: &RawValue = serde_json::from_slice(&tree).map_err(|error| internal(error.to_string()))?;
        let given = given.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
        let question = serde_json::to_string(&PartQuestion { flow, step, to_end, given })
            .map_err(|error| internal(error.to_string()))?;
        let part = match self.reader.ask(tenant, PART, question).await? {
            Outcome::Answered(part) => Bytes::from(part),
            Outcome::Declined(error) => return Err(PortError::Refused(error.text().to_owned()).into()),
            other => return Err(PortError::Refused(ended(&other)).into()),
        };
        let digest = Digest::of(&part);
        self.reader.blobs.put(part).await?;
        Ok(digest)
    }

    /// Has the steps and expressions read that the edits bring. Asks nothing
    /// if they bring none. With `keep`, what runs need is kept.
    pub(crate) async fn check_texts(&self, mut edits: Vec<Edit>, keep: bool) -> Result<Looked, EditError> {
        let (mut objections, mut warnings) = (Vec::new(), BTreeMap::new());
        if !edits.iter().any(|edit| with_text(edit).is_some()) {
            return Ok(Looked { edits, objections, warnings });
        }
        let after = self.after(&edits);
        let mut packages = BTreeMap::new();
        for (place, edit) in edits.iter_mut().enumerate() {
            let Some((tenant, spec)) = with_text(edit) else { continue };
            // What is wrong in itself, or whose tenant is not there, is told by the plan.
            let (Ok(()), Some(written)) = (spec.check(), after.get(&tenant)) else { continue };
            if !packages.contains_key(&tenant) {
                packages.insert(tenant.clone(), self.packages(packages_of(written)).await?);
            }
            let Some(packages) = packages.get(&tenant) else { continue };
            let object = |line: Option<u64>, column: Option<u64>, message: String| {
                let message = format!("workflow `{}`: {message}", spec.name);
                Objection { edit: Some(place), line, column, message }
            };
            for message in self.reader.expressions(&tenant, spec).await? {
                objections.push(object(None, None, message));
            }
            let Some(source) = &spec.source else { continue };
            match self.reader.read(&tenant, source, &surroundings(written, packages)).await? {
                Read::Well(checked, definition, said) => {
                    if keep {
                        self.reader.blobs.put(definition).await?;
                    }
                    warnings.insert(place, said);
                    set_checked(edit, checked);
                }
                Read::Badly(problems) => {
                    let object = |(line, column, message)| object(Some(line), column, message);
                    objections.extend(problems.into_iter().map(object));
                }
            }
        }
        for Cycle { edit, file, line, certain, message } in cycles(&edits, &after) {
            match certain {
                true => {
                    objections.push(Objection { edit: Some(edit), line: Some(line), column: None, message })
                }
                false => warnings.entry(edit).or_default().push(format!("{file} line {line}: {message}")),
            }
        }
        Ok(Looked { edits, objections, warnings })
    }

    /// What the edits' tenants will have written, as far as that can be told.
    fn after(&self, edits: &[Edit]) -> BTreeMap<TenantId, Written> {
        let held = self.held.load_full();
        let mut written = edits
            .iter()
            .filter_map(|edit| held.tenants.get(edit.tenant()?))
            .map(|tenant| (tenant.written.spec.name.clone(), tenant.written.clone()))
            .collect();
        // What cannot be planned is refused by the real plan, which comes next.
        drop(Plan::make(edits, &mut written, None));
        written
    }
}

/// A workflow with something to read, and whose it is.
fn with_text(edit: &Edit) -> Option<(TenantId, &WorkflowSpec)> {
    let Edit::Put(Some(tenant), resource) = edit else { return None };
    let Resource::Workflow(spec) = &**resource else { return None };
    let expressions = spec.triggers.iter().any(|it| it.when().is_some() || it.deduplicate().is_some());
    (expressions || spec.source.is_some()).then(|| (tenant.clone(), spec))
}

fn set_checked(edit: &mut Edit, checked: Checked) {
    if let Edit::Put(_, resource) = edit
        && let Resource::Workflow(WorkflowSpec { source: Some(source), .. }) = &mut **resource
    {
        source.checked = Some(Box::new(checked));
    }
}

/// The text at the lines that it has in its file, so that every line that the
/// reader names, now and in a run, is the file's.
fn padded(source: &Source) -> String {
    let before = usize::try_from(source.before).unwrap_or(0).min(MAX_BEFORE);
    format!("{}{}", "\n".repeat(before), source.text)
}

fn surroundings<'a>(written: &'a Written, packages: &'a Packages) -> Surroundings<'a> {
    let offers = |manifest: &'a Manifest| {
        let outbound = manifest.endpoints.iter().filter(|(_, it)| it.direction == Direction::Outbound);
        outbound
            .map(|(name, it)| (name.as_str(), Offered { takes: it.takes.as_ref(), gives: it.gives.as_ref() }))
            .collect()
    };
    let connections = written.connections.iter().map(|(name, kept)| {
        let package = kept.as_ref().ok().and_then(|spec| packages.get(&spec.package)?.as_ref().ok());
        (name.as_str(), package.map(|package| offers(&package.manifest)))
    });
    let connections: BTreeMap<_, Option<BTreeMap<_, Offered<'_>>>> = connections.collect();
    let taken = connections.values().flatten().flat_map(BTreeMap::values).filter_map(|offered| offered.takes);
    let schemas = taken.filter_map(|name| Some((name.to_string(), document(written, name)?)));
    Surroundings {
        schemas: schemas.collect(),
        connections,
        workflows: written.workflows.keys().map(|name| name.as_str()).collect(),
    }
}

/// A schema as it is written, the tenant's or a shipped one.
fn document<'a>(written: &'a Written, name: &SchemaRef) -> Option<&'a Value> {
    match written.schemas.get(name) {
        Some(own) => own.as_ref().ok().map(|spec| &spec.schema),
        None => shipped(name).map(|schema| schema.document()),
    }
}

fn absent(package: &str) -> EditError {
    PortError::Refused(format!(
        "this host lacks the builtin package `{package}`: publish it, or start a host that brings it along"
    ))
    .into()
}

fn ended(outcome: &Outcome<String>) -> String {
    match outcome {
        Outcome::Answered(_) => "it answered".to_owned(),
        Outcome::Declined(error) => error.to_string(),
        Outcome::Exceeded(exceeded) => format!("reading them {exceeded}; make them simpler"),
        Outcome::Trapped(trap) => format!("the checker crashed: {trap}"),
        Outcome::BadAnswer(why) => format!("the checker gave a bad answer: {why}"),
    }
}

/// The most lines that are put before a text: what an applied file of the
/// largest size can have. A text may say more of itself, in vain.
const MAX_BEFORE: usize = crate::documents::MAX_FILE;
