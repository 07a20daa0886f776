//! `wharf:workflow/calls`: every effect goes through the run's journal.

use std::sync::Arc;

use host_model::effects::{Effects, Intent, Pending};
use host_model::outcome::CallError;
use host_model::retry::OwnTries;
use wasmtime::component::Resource;

use crate::bindings::connector::wharf::types::types;
use crate::bindings::workflow::wharf::workflow::calls;
use crate::{Call, Subject};

/// Something started, as the guest holds it.
pub struct PendingCall(Pending);

type Answer = Result<String, types::CallError>;

impl Call {
    fn effects(&self) -> wasmtime::Result<Arc<dyn Effects>> {
        match &self.subject {
            Subject::Run(effects) => Ok(Arc::clone(effects)),
            Subject::Nobody | Subject::Connection(_) => {
                Err(wasmtime::Error::msg("this call is not a run, so it has no journal"))
            }
        }
    }

    /// Hands an intent to the journal; `size` is what crossed for it.
    async fn begin(&mut self, size: usize, intent: Intent) -> wasmtime::Result<Pending> {
        self.meter.host_call(size)?;
        Ok(self.effects()?.start(intent).await?)
    }

    async fn perform(&mut self, size: usize, intent: Intent) -> wasmtime::Result<Answer> {
        let pending = self.begin(size, intent).await?;
        self.await_answer(pending).await
    }

    fn hold(&mut self, pending: Pending) -> wasmtime::Result<Resource<PendingCall>> {
        Ok(self.table.push(PendingCall(pending))?)
    }

    async fn await_answer(&mut self, pending: Pending) -> wasmtime::Result<Answer> {
        let answer = self.effects()?.wait(pending).await?;
        self.meter.bytes(match &answer {
            Ok(text) => text.len(),
            Err(error) => error.text().len(),
        })?;
        Ok(answer.map_err(types::CallError::from))
    }
}

impl calls::HostPending for Call {
    async fn wait(&mut self, this: Resource<PendingCall>) -> wasmtime::Result<Answer> {
        self.meter.host_call(0)?;
        let pending = self.table.get(&this)?.0;
        self.await_answer(pending).await
    }

    async fn drop(&mut self, this: Resource<PendingCall>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl calls::Host for Call {
    async fn call(&mut self, role: String, endpoint: String, input: String) -> wasmtime::Result<Answer> {
        let size = role.len() + endpoint.len() + input.len();
        self.perform(size, Intent::Call { role, endpoint, input, tries: None }).await
    }

    async fn start(
        &mut self,
        role: String,
        endpoint: String,
        input: String,
    ) -> wasmtime::Result<Resource<PendingCall>> {
        let size = role.len() + endpoint.len() + input.len();
        let pending = self.begin(size, Intent::Call { role, endpoint, input, tries: None }).await?;
        self.hold(pending)
    }

    async fn start_tried(
        &mut self,
        role: String,
        endpoint: String,
        input: String,
        calls::Tries { times, first_ms, longest_ms }: calls::Tries,
    ) -> wasmtime::Result<Resource<PendingCall>> {
        let size = role.len() + endpoint.len() + input.len() + size_of::<calls::Tries>();
        let tries = Some(OwnTries { times, first_ms, longest_ms });
        let pending = self.begin(size, Intent::Call { role, endpoint, input, tries }).await?;
        self.hold(pending)
    }

    async fn wait_any(&mut self, pending: Vec<Resource<PendingCall>>) -> wasmtime::Result<u32> {
        self.meter.host_call(pending.len() * size_of::<u32>())?;
        if pending.is_empty() {
            return Err(wasmtime::Error::msg("wait-any was called with an empty list"));
        }
        let mut steps = Vec::with_capacity(pending.len());
        for handle in &pending {
            steps.push(self.table.get(handle)?.0);
        }
        Ok(u32::try_from(self.effects()?.wait_any(steps).await?)?)
    }

    async fn wait_all(&mut self, pending: Vec<Resource<PendingCall>>) -> wasmtime::Result<Vec<Answer>> {
        self.meter.host_call(pending.len() * size_of::<u32>())?;
        let mut answers = Vec::with_capacity(pending.len());
        for handle in &pending {
            let step = self.table.get(handle)?.0;
            answers.push(self.await_answer(step).await?);
        }
        Ok(answers)
    }

    async fn sleep_ms(&mut self, ms: u64) -> wasmtime::Result<()> {
        self.perform(8, Intent::Sleep { ms }).await.map(|_| ())
    }

    async fn sleep_until(&mut self, time_ms: u64) -> wasmtime::Result<()> {
        self.perform(8, Intent::SleepUntil { time_ms }).await.map(|_| ())
    }

    async fn start_sleep(&mut self, ms: u64) -> wasmtime::Result<Resource<PendingCall>> {
        let pending = self.begin(8, Intent::Sleep { ms }).await?;
        self.hold(pending)
    }

    async fn expect_event(
        &mut self,
        name: String,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<calls::Expected> {
        let pending = self.begin(name.len() + 8, Intent::Event { name, timeout_ms }).await?;
        let url = self.effects()?.callback_url(pending);
        self.meter.bytes(url.len())?;
        Ok(calls::Expected { url, event: self.hold(pending)? })
    }

    async fn start_workflow(
        &mut self,
        workflow: String,
        input: String,
    ) -> wasmtime::Result<Resource<PendingCall>> {
        let size = workflow.len() + input.len();
        let pending = self.begin(size, Intent::Workflow { workflow, input }).await?;
        self.hold(pending)
    }

    async fn publish(
        &mut self,
        topic: String,
        data: String,
    ) -> wasmtime::Result<Result<u32, types::CallError>> {
        let answer = self.perform(topic.len() + data.len(), Intent::Publish { topic, data }).await?;
        Ok(match answer {
            Ok(count) => Ok(count.parse()?),
            Err(error) => Err(error),
        })
    }

    async fn reply(&mut self, answer: String) -> wasmtime::Result<()> {
        self.perform(answer.len(), Intent::Reply { answer }).await.map(|_| ())
    }

    async fn set_key(
        &mut self,
        name: String,
        value: String,
    ) -> wasmtime::Result<Result<(), types::CallError>> {
        let answer = self.perform(name.len() + value.len(), Intent::SetKey { name, value }).await?;
        Ok(answer.map(|_| ()))
    }

    async fn on_cancel(&mut self, role: String, endpoint: String, input: String) -> wasmtime::Result<()> {
        let size = role.len() + endpoint.len() + input.len();
        self.perform(size, Intent::OnCancel { role, endpoint, input }).await.map(|_| ())
    }

    async fn mark(&mut self, place: String) -> wasmtime::Result<()> {
        self.meter.host_call(place.len())?;
        self.effects()?.mark(place);
        Ok(())
    }

    async fn definition(&mut self) -> wasmtime::Result<String> {
        self.meter.host_call(0)?;
        let text = self.effects()?.definition().await?;
        self.meter.bytes(text.len())?;
        Ok(text)
    }
}

impl types::Host for Call {}

impl From<CallError> for types::CallError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::InvalidInput(why) => Self::InvalidInput(why),
            CallError::Unauthorized(why) => Self::Unauthorized(why),
            CallError::NotFound(why) => Self::NotFound(why),
            CallError::Conflict(why) => Self::Conflict(why),
            CallError::RateLimited(after) => Self::RateLimited(after),
            CallError::Retry(why) => Self::Retry(why),
            CallError::Permanent(why) => Self::Permanent(why),
            CallError::Other(why) => Self::Other(why),
        }
    }
}

impl From<types::CallError> for CallError {
    fn from(error: types::CallError) -> Self {
        use types::CallError as Wit;
        match error {
            Wit::InvalidInput(why) => Self::InvalidInput(why),
            Wit::Unauthorized(why) => Self::Unauthorized(why),
            Wit::NotFound(why) => Self::NotFound(why),
            Wit::Conflict(why) => Self::Conflict(why),
            Wit::RateLimited(after) => Self::RateLimited(after),
            Wit::Retry(why) => Self::Retry(why),
            Wit::Permanent(why) => Self::Permanent(why),
            Wit::Other(why) => Self::Other(why),
        }
    }
}
