//! Which runs a message starts: its triggers' filters and keys are evaluated
//! in the sandbox, in one call for all of them, and in none if there are none.

use std::sync::Arc;
use std::time::Duration;

use host_control::ports::PortError;
use host_model::bounds::Bounds;
use host_model::message::Draft;
use host_model::name::{PackageName, TenantId, TopicName};
use host_model::outcome::Outcome;
use host_model::resource::{Connection, Package, Workflow};
use host_model::run::StartedBy;
use host_routing::Wanted;
use host_runs::{NewRun, Once};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::guests::SandboxedGuests;

/// The guest that evaluates expressions.
const EVALUATOR: &str = "wharf/expression";
/// What the connection to it is called, for logs.
const CONNECTION: &str = "wharf-expression";
/// Its endpoint.
const EVALUATE: &str = "evaluate";

/// Why it cannot be said which runs a message starts. Nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TriggerError {
    /// The message is not what an expression or a workflow takes; the sender can read why.
    #[error("{0}")]
    Message(String),
    /// The host failed.
    #[error("cannot evaluate the triggers' expressions: {0}")]
    Host(String),
}

impl From<TriggerError> for PortError {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::Message(why) => Self::Refused(why),
            TriggerError::Host(why) => Self::Internal(why),
        }
    }
}

/// What the guest says of one expression.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Evaluated {
    Value(Value),
    Error(String),
}

/// The answers in the order of the questions.
struct Answers<'a> {
    workflow: &'a Workflow,
    left: std::vec::IntoIter<Evaluated>,
}

impl SandboxedGuests {
    /// The runs that a message starts. None is a proper answer: every trigger
    /// that matches was filtered out.
    pub(crate) async fn started(
        &self,
        tenant: &TenantId,
        wanted: Vec<Wanted>,
        started_by: &StartedBy,
        draft: &Draft,
    ) -> Result<Vec<NewRun>, TriggerError> {
        let expressions: Vec<&str> = wanted.iter().flat_map(expressions).collect();
        let mut answers = if expressions.is_empty() {
            Vec::new()
        } else {
            self.evaluate(tenant, &expressions, draft).await?
        }
        .into_iter();
        let mut runs = Vec::new();
        for wanted in &wanted {
            let count = expressions_of(wanted);
            let own: Vec<_> = answers.by_ref().take(count).collect();
            let answers = Answers { workflow: &wanted.workflow, left: own.into_iter() };
            if let Some(once) = answers.decide(wanted)? {
                let run = NewRun {
                    workflow: Arc::clone(&wanted.workflow),
                    started_by: started_by.clone(),
                    draft: draft.clone(),
                    once,
                };
                self.border
                    .handed_over(&run)
                    .await
                    .map_err(|error| TriggerError::Message(error.to_string()))?;
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// The runs that a message to a topic starts.
    pub(crate) async fn to_topic(
        &self,
        tenant: &TenantId,
        topic: &TopicName,
        data: String,
    ) -> Result<Vec<NewRun>, TriggerError> {
        let wanted = self.routes.subscribers(tenant, topic);
        let draft = Draft { kind: topic.to_string(), subject: None, data };
        self.started(tenant, wanted, &StartedBy::Topic(topic.clone()), &draft).await
    }

    async fn evaluate(
        &self,
        tenant: &TenantId,
        expressions: &[&str],
        draft: &Draft,
    ) -> Result<Vec<Evaluated>, TriggerError> {
        let host = |error: &dyn std::fmt::Display| TriggerError::Host(error.to_string());
        let data: &RawValue = serde_json::from_str(&draft.data)
            .map_err(|error| TriggerError::Message(format!("the message's data is not JSON: {error}")))?;
        let question = to_raw_value(&Question { expressions, input: data }).map_err(|error| host(&error))?;
        let connection = self.evaluator(tenant).await?;
        let called = self.sandbox.call(&connection, EVALUATE, question.get(), "").await;
        let answers: Vec<Evaluated> = match called.map_err(|error| host(&error))?.outcome {
            Outcome::Answered(text) => serde_json::from_str(&text).map_err(|error| host(&error))?,
            Outcome::Declined(error) => return Err(TriggerError::Message(error.to_string())),
            Outcome::Exceeded(exceeded) => {
                let why = format!("the expressions of the triggers that this message meets {exceeded}");
                return Err(TriggerError::Message(why));
            }
            // Recursion without end is what traps the evaluator.
            Outcome::Trapped(trap) => {
                let why = format!(
                    "the expressions of the triggers that this message meets cannot be evaluated: {trap}"
                );
                return Err(TriggerError::Message(why));
            }
            Outcome::BadAnswer(why) => return Err(host(&why)),
        };
        if answers.len() == expressions.len() { Ok(answers) } else { Err(host(&"an answer is missing")) }
    }

    /// A connection to the evaluator, which needs no setting up and reaches nothing.
    async fn evaluator(&self, tenant: &TenantId) -> Result<Arc<Connection>, TriggerError> {
        let host = |error: &dyn std::fmt::Display| TriggerError::Host(error.to_string());
        let found = self.evaluator.get_or_try_init(async || {
            let name: PackageName = EVALUATOR.parse().map_err(|error| host(&error))?;
            let newest = self.registry.newest(&name).await.map_err(|error| host(&error))?;
            newest.ok_or_else(|| host(&format!("this host lacks the package `{name}`")))
        });
        let package: Package = found.await?.clone();
        let name = CONNECTION.parse().map_err(|error| host(&error))?;
        let resolved = Connection::bare(tenant.clone(), name, package, &Bounds::default());
        resolved.map(Arc::new).map_err(|error| host(&error))
    }
}

#[derive(serde::Serialize)]
struct Question<'a> {
    expressions: &'a [&'a str],
    input: &'a RawValue,
}

/// What has to be evaluated for one workflow, in the order that
/// [`Answers::decide`] reads the answers.
fn expressions(wanted: &Wanted) -> impl Iterator<Item = &str> {
    wanted.triggers().flat_map(|trigger| {
        let key = trigger.deduplicate().map(|same| same.key.as_str());
        trigger.when().into_iter().chain(key)
    })
}

fn expressions_of(wanted: &Wanted) -> usize {
    expressions(wanted).count()
}

impl Answers<'_> {
    /// Whether a run is made: the first trigger that lets the message pass
    /// decides what makes it the same as another.
    fn decide(mut self, wanted: &Wanted) -> Result<Option<Option<Once>>, TriggerError> {
        let mut decided = None;
        for trigger in wanted.triggers() {
            let when = trigger.when().map(|expression| (expression, self.left.next()));
            let key = trigger.deduplicate().map(|same| (same, self.left.next()));
            if decided.is_some() {
                continue;
            }
            let passes = match when {
                None => true,
                Some((expression, answer)) => match self.value("when", expression, answer)? {
                    Value::Bool(passes) => passes,
                    other => {
                        let got = short(&other.to_string());
                        return Err(self.failed(
                            "when",
                            expression,
                            &format!("it gave {got}, not true or false"),
                        ));
                    }
                },
            };
            if !passes {
                continue;
            }
            decided = Some(match key {
                None => None,
                Some((same, answer)) => match self.value("deduplicate", &same.key, answer)? {
                    // No key: nothing that it could be the same as.
                    Value::Null => None,
                    key => {
                        let window = Duration::from_secs(same.window_s.get().into());
                        Some(Once { key: key.to_string(), window })
                    }
                },
            });
        }
        Ok(decided)
    }

    fn value(&self, at: &str, expression: &str, answer: Option<Evaluated>) -> Result<Value, TriggerError> {
        match answer {
            Some(Evaluated::Value(value)) => Ok(value),
            Some(Evaluated::Error(why)) => Err(self.failed(at, expression, &why)),
            None => Err(TriggerError::Host("an answer is missing".to_owned())),
        }
    }

    fn failed(&self, at: &str, expression: &str, why: &str) -> TriggerError {
        TriggerError::Message(format!(
            "`{at}` of a trigger of workflow `{}`, `{}`, fails on this message: {}; nothing was started, mend one of them and send it again",
            self.workflow.name,
            short(expression),
            short(why)
        ))
    }
}

/// As much of a text as a message needs.
fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}
