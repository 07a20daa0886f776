//! Tests of workflows as control asks for them.

use std::sync::Arc;
use std::time::Duration;

use host_control::ports::{self, PortError};
use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_runs::{Runs, StepTest, StepTestError};

/// How long a test is waited for; what takes longer is looked at by its run.
const WAIT: Duration = Duration::from_secs(30);

pub(crate) struct StepTested(pub(crate) Arc<Runs>);

impl ports::StepTests for StepTested {
    fn test(&self, test: ports::StepTest) -> BoxFuture<'_, Result<RunId, PortError>> {
        Box::pin(async move {
            let ports::StepTest { workflow, tested, input, answers, errors, of } = test;
            let tenant = workflow.tenant.clone();
            let test = StepTest { workflow, input, tested, answers, errors, of };
            let run = self.0.test(test).await.map_err(not_made)?;
            self.0.wait(&tenant, run, WAIT).await.map_err(|error| PortError::Internal(error.to_string()))?;
            Ok(run)
        })
    }
}

fn not_made(error: StepTestError) -> PortError {
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("{error}{cause}");
    match error {
        StepTestError::Absent(_) | StepTestError::Input(_) => PortError::Refused(text),
        StepTestError::NoRoom(why) => PortError::NoRoom(text, why.retry_after()),
        StepTestError::Stopping => PortError::Busy(Duration::from_secs(5)),
        StepTestError::Store(_) | StepTestError::Interrupted => PortError::Internal(text),
    }
}
