//! Tests of a workflow, or of a part of it, with made-up input.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use host_model::id::RunId;
use host_model::name::WorkflowName;
use host_model::outcome::CallError;
use host_model::resource::Workflow;
use host_model::run::Tested;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::replays::workflow_now;
use super::runs::Shown;
use crate::Control;
use crate::access::{InTenant, power};
use crate::input::{Named, json};
use crate::ports::{RunStory, StepTest};
use crate::refusal::Refusal;

/// What to test, and with what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Asked {
    /// The step's id; all of the workflow if left out.
    step: Option<String>,
    /// Not the step alone but all from it to the end.
    #[serde(default)]
    to_end: bool,
    /// Variables that earlier steps would have set.
    #[schema(value_type = Object)]
    #[serde(default)]
    given: BTreeMap<String, Box<RawValue>>,
    /// The message's data; that of `from-run`, or null, if left out.
    #[schema(value_type = Object)]
    input: Option<Box<RawValue>>,
    /// What is answered: `crm.create-lead` (connection and endpoint; in code, role and
    /// endpoint), `event:approved`, `workflow:report`, `topic:leads`.
    #[schema(value_type = Object)]
    #[serde(default)]
    answers: BTreeMap<String, Box<RawValue>>,
    /// Errors, by the same names: lists of `{"error": "retry", "detail": "busy"}`, told in
    /// this order, each once, before any answer; where there is no answer, the last one again
    /// and again. The kinds are those of a call's error; the `detail` of `rate-limited` is
    /// after how many milliseconds to come again, or null. What may pass is tried again as in
    /// any run, without the pauses.
    #[schema(value_type = Object)]
    #[serde(default)]
    errors: BTreeMap<String, Vec<CallError>>,
    /// A run whose recorded answers are used where none is given.
    #[schema(value_type = Option<String>)]
    from_run: Option<RunId>,
    /// Against the real connections, instead of answers.
    #[serde(default)]
    live: bool,
}

/// Runs one step of a workflow, or from a step to the end, or all of it, as a
/// test. Without `live` nothing leaves the host: a call that has no answer ends
/// the test. Gives the test's run and its steps, as far as they came in 30 s.
/// The run is shown by its id; no list of runs has it, nor that of dead letters.
#[utoipa::path(post, path = "/tenants/{tenant}/workflows/{name}/test", tag = "workflows",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Asked,
    responses((status = 200, body = Shown)))]
pub(super) async fn test_workflow(
    tenant: InTenant<power::Operate>,
    State(control): State<Control>,
    Named(name): Named<WorkflowName>,
    body: Body,
) -> Result<Json<Shown>, Refusal> {
    let asked: Asked = json(body).await?;
    if !tenant.tenant.written.workflows.contains_key(&name) {
        return Err(Refusal::Absent);
    }
    let workflow = workflow_now(&tenant, &name)?;
    fits(&asked, &workflow).map_err(Refusal::invalid)?;
    let Asked { step, to_end, given, input, answers, errors, from_run, live } = asked;
    let workflow = match (&step, &workflow.definition) {
        (Some(step), Some(definition)) => {
            let part = control.catalog.part(&tenant.id, definition, step, to_end, &given).await?;
            Arc::new(Workflow { definition: Some(part), ..Workflow::clone(&workflow) })
        }
        _ => workflow,
    };
    let text = |json: Box<RawValue>| json.get().to_owned();
    let test = StepTest {
        workflow,
        tested: Tested { step, to_end, live },
        input: input.map(text),
        answers: answers.into_iter().map(|(name, answer)| (name, text(answer))).collect(),
        errors,
        of: from_run,
    };
    let run = control.step_tests.test(test).await?;
    let RunStory { run, steps } = control.runs.show(&tenant.id, run).await?.ok_or(Refusal::Absent)?;
    Ok(Json(Shown { run, steps }))
}

/// Whether what is asked for goes together.
fn fits(asked: &Asked, workflow: &Workflow) -> Result<(), &'static str> {
    match asked {
        Asked { step: None, to_end: true, .. } => Err("`to-end` takes the `step` that it starts from"),
        Asked { step: None, given, .. } if !given.is_empty() => {
            Err("`given` is for a `step`: all of the workflow sets its variables itself")
        }
        Asked { step: Some(_), .. } if workflow.definition.is_none() => {
            Err("this workflow is code, which has no steps to name: test all of it, without `step`")
        }
        Asked { live: true, answers, errors, from_run, .. }
            if !(answers.is_empty() && errors.is_empty() && from_run.is_none()) =>
        {
            Err("`live` asks the real connections: leave out `answers`, `errors` and `from-run`, or `live`")
        }
        _ => Ok(()),
    }
}
