//! The export of world `workflow`, typed.

use std::sync::Arc;

use host_capabilities::Subject;
use host_capabilities::bindings::connector::wharf::types::types::Message as WitMessage;
use host_capabilities::bindings::workflow::Workflow as Guest;
use host_model::bounds::Bounds;
use host_model::effects::Effects;
use host_model::message::Message;
use host_model::name::TenantId;
use host_model::outcome::{CallError, Finished};
use host_model::resource::Package;

use crate::call::{drive, finish};
use crate::connector::judge_json;
use crate::prepare::{PrepareError, Prepared};
use crate::{CallFailed, Sandbox};

impl Sandbox {
    /// Runs a tenant's workflow for a message; its effects go through `effects`.
    pub async fn run(
        &self,
        tenant: &TenantId,
        package: &Package,
        bounds: &Bounds,
        input: &Message,
        effects: Arc<dyn Effects>,
    ) -> Result<Finished<String>, CallFailed> {
        let ready = self.prepared.ready(package).await?;
        let opened = self.open(Some(tenant), Subject::Run(effects), bounds).await?;
        let wall = bounds.wall;
        let message = WitMessage {
            id: input.id.to_string(),
            source: input.source.clone(),
            kind: input.kind.clone(),
            subject: input.subject.clone(),
            time_ms: u64::try_from(input.time.timestamp_millis()).unwrap_or(0),
            data: input.data.clone(),
        };
        let call = Box::pin(async move {
            let (_slot, mut store) = opened;
            let Some(Prepared::Workflow(pre)) = ready.prepared() else {
                return Err(PrepareError::Link("it is not a workflow".to_owned()).into());
            };
            let driven = drive(wall, async {
                let guest: Guest = pre.instantiate_async(&mut store).await?;
                guest.wharf_workflow_run().call_run(&mut store, &message).await
            })
            .await?;
            finish(store, driven, |answer, bounds| judge_json(answer.map_err(CallError::from), bounds))
        });
        self.take_turns(Some(tenant), call).await
    }
}
