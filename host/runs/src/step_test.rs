//! Testing a part of a workflow: a run like any other, accepted durably, but
//! marked as a test, and played with answers that are given or recorded instead
//! of the outside; or, if asked for, against the real thing. It is found by its
//! id alone: no list of runs has it, nor that of dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use host_model::id::RunId;
use host_model::message::{BadDraft, Draft};
use host_model::outcome::{CallError, Outcome};
use host_model::resource::Workflow;
use host_model::run::{StartedBy, Tested};
use host_store::{Commit, StoreError};

use crate::accept::NewRun;
use crate::guests::NoRoom;
use crate::record::StepRecord;
use crate::script::{Failing, Line, Script, name_of};
use crate::shelf::as_json;
use crate::{Runs, random};

/// The kind of the message that a test runs for.
const TEST: &str = "test";

/// A test to be.
#[derive(Clone, Debug)]
pub struct StepTest {
    /// What is run: the workflow, its definition cut to the part that is tested.
    pub workflow: Arc<Workflow>,
    /// The data of its message, one JSON text; that of `of`, if left out.
    pub input: Option<String>,
    /// What is tested, for people; `live` decides.
    pub tested: Tested,
    /// Answers by name (`crm.create-lead`, `event:approved`, `workflow:report`,
    /// `topic:leads`), each one JSON text.
    pub answers: BTreeMap<String, String>,
    /// Errors by the same names, as the other side says them: each once, in
    /// this order, before any answer; the last one again and again where there
    /// is no answer. What may pass is tried again as in any run, at once.
    pub errors: BTreeMap<String, Vec<CallError>>,
    /// A run whose recorded answers are used where none is given.
    pub of: Option<RunId>,
}

/// Why a test was not made.
#[derive(Debug, thiserror::Error)]
pub enum StepTestError {
    /// There is no such run of this tenant.
    #[error("there is no run {0}, whose answers the test was to use")]
    Absent(RunId),
    /// The input is no message.
    #[error("the input cannot be used")]
    Input(#[from] BadDraft),
    /// The host is stopping.
    #[error("the host is stopping; send it again")]
    Stopping,
    /// A quota of the tenant's is used up, or the host is short of something.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The store failed; whether the test was accepted is not known.
    #[error("cannot make the test durable")]
    Store(#[from] StoreError),
    /// A bug ended the task; whether the test was accepted is not known.
    #[error("the test was interrupted by a failure of the host")]
    Interrupted,
}

impl Runs {
    /// Makes the test durable and starts it.
    pub async fn test(self: &Arc<Self>, test: StepTest) -> Result<RunId, StepTestError> {
        if self.stops.drain.is_cancelled() {
            return Err(StepTestError::Stopping);
        }
        let this = Arc::clone(self);
        // A task of its own, as accepting is: what is durable is also started.
        let making = self.stops.tasks.spawn(async move { this.make_test(test).await });
        making.await.unwrap_or(Err(StepTestError::Interrupted))
    }

    async fn make_test(self: &Arc<Self>, test: StepTest) -> Result<RunId, StepTestError> {
        let StepTest { workflow, input, tested, answers, errors, of } = test;
        let tenant = workflow.tenant.clone();
        let mut script = Script {
            failing: errors.into_iter().map(|(name, errors)| (name, Failing { errors, told: 0 })).collect(),
            given: answers.into_iter().map(|(name, text)| (name, Outcome::Answered(text))).collect(),
            recorded: Vec::new(),
        };
        let mut recorded_input = None;
        if let Some(run) = of {
            self.shelf.record(&tenant, run).await?.ok_or(StepTestError::Absent(run))?;
            recorded_input = Some(self.shelf.text(self.shelf.given(&tenant, run).await?.data).await?);
            // What the run asked the outside, and was answered.
            let line = |step: &StepRecord, outcome| {
                let (name, place) = (name_of(&step.did)?, step.place.clone());
                Some(Line { name, asked: step.asked, place, outcome, told: false })
            };
            script.recorded = self.shelf.of_own_steps(&tenant, run, line).await?;
        }
        let data = input.or(recorded_input).unwrap_or_else(|| "null".to_owned());
        let draft = Draft { kind: TEST.to_owned(), subject: None, data };
        draft.check()?;
        self.lease.hold().await?;
        let (id, now) = (RunId::new(self.clock.now(), random()), self.clock.now());
        let new = NewRun { workflow, started_by: StartedBy::Manual(None), draft, once: None };
        let (mut record, mut given) = self.to_store(id, &new, 0, now)?;
        given.script = (!tested.live).then(|| as_json(&script)).transpose()?;
        record.test = Some(tested);
        let commit = self.shelf.with_new(&record, given, Commit::default()).await?;
        self.commit(&[(tenant, id)], commit).await.map(|()| id)
    }
}
