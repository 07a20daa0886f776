//! Tests of a workflow, or of a part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::outcome::CallError;
use host_model::resource::Workflow;
use host_model::run::Tested;

use super::PortError;

/// A test to be.
#[derive(Clone, Debug)]
pub struct StepTest {
    /// The workflow; its definition is that of the part that is tested.
    pub workflow: Arc<Workflow>,
    /// What is tested, and whether against the real connections.
    pub tested: Tested,
    /// The data of its message, one JSON text; that of `of`, if left out.
    pub input: Option<String>,
    /// Answers by name, each one JSON text.
    pub answers: BTreeMap<String, String>,
    /// Errors by the same names, as the other side says them: each once, in
    /// this order, before any answer; the last one stays where there is no answer.
    pub errors: BTreeMap<String, Vec<CallError>>,
    /// A run whose recorded answers are used where none is given.
    pub of: Option<RunId>,
}

/// Runs, as a person tries a workflow on them.
pub trait StepTests: Send + Sync + 'static {
    /// Makes the test durable, and waits for its end, though not for long.
    /// [`PortError::Refused`] says what does not fit.
    fn test(&self, test: StepTest) -> BoxFuture<'_, Result<RunId, PortError>>;
}
