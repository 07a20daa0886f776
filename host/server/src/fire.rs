//! A schedule's fire becomes an accepted run, in the same commit that moves
//! the schedule on: one run an instant, however many hosts try.

use std::sync::Arc;

use host_model::clock::Timestamp;
use host_model::effects::BoxFuture;
use host_model::message::Draft;
use host_model::run::StartedBy;
use host_routing::Routes;
use host_runs::{AcceptError, Idempotency, NewRun, Runs};
use host_schedules::{Fire, FireError, Fired, Schedule};
use host_store::Commit;

use crate::border::Border;

/// What kind of message a schedule's input is.
const KIND: &str = "schedule";

pub(crate) struct AcceptedFires {
    pub(crate) routes: Arc<Routes>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) border: Arc<Border>,
}

impl Fire for AcceptedFires {
    fn fire<'a>(
        &'a self,
        schedule: &'a Schedule,
        scheduled: Timestamp,
        commit_with: Commit,
    ) -> BoxFuture<'a, Result<Fired, FireError>> {
        Box::pin(async move {
            let workflow = self.routes.workflow(&schedule.tenant, &schedule.workflow);
            let workflow = workflow.ok_or_else(|| {
                FireError::Refused(format!("workflow `{}` does not exist", schedule.workflow))
            })?;
            let fire = schedule.fire_id(scheduled);
            let data = serde_json::to_string(&schedule.input)
                .map_err(|error| FireError::Refused(error.to_string()))?;
            let run = NewRun {
                workflow,
                started_by: StartedBy::Schedule(schedule.name.clone()),
                draft: Draft { kind: KIND.to_owned(), subject: Some(instant(scheduled)), data },
                once: None,
            };
            let idempotency = Idempotency {
                tenant: schedule.tenant.clone(),
                scope: format!("schedules/{}", schedule.name),
                key: fire.hex(),
                input: fire,
                answer: None,
            };
            self.border.handed_over(&run).await.map_err(|error| FireError::Refused(error.to_string()))?;
            match self.runs.accept_with(vec![run], Some(idempotency), commit_with).await {
                Ok(accepted) if accepted.repeated => Ok(Fired::Already),
                Ok(_) => Ok(Fired::Accepted),
                Err(AcceptError::Conflict) => Err(FireError::Conflict),
                Err(error @ AcceptError::Draft { .. }) => Err(FireError::Refused(error.to_string())),
                Err(error) => Err(FireError::Failed(error.to_string())),
            }
        })
    }
}

/// The subject of the message: which instant it is for, however late the run begins.
fn instant(scheduled: Timestamp) -> String {
    scheduled.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
