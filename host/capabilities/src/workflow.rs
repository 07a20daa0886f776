//! `wharf:workflow/calls`: every effect goes through the run's journal.

use std::sync::Arc;

use host_model::effects::{Effects, Pending};
use host_model::outcome::CallError;
use wasmtime::component::Resource;

use crate::bindings::connector::wharf::types::types;
use crate::bindings::workflow::wharf::workflow::calls;
use crate::{Call, Subject};

/// A started call, as the guest holds it.
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

    async fn begin(&mut self, role: String, endpoint: String, input: String) -> wasmtime::Result<Pending> {
        self.meter.host_call(role.len() + endpoint.len() + input.len())?;
        Ok(self.effects()?.start(role, endpoint, input).await?)
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
        let pending = self.begin(role, endpoint, input).await?;
        self.await_answer(pending).await
    }

    async fn start(
        &mut self,
        role: String,
        endpoint: String,
        input: String,
    ) -> wasmtime::Result<Resource<PendingCall>> {
        let pending = self.begin(role, endpoint, input).await?;
        Ok(self.table.push(PendingCall(pending))?)
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

    async fn sleep_ms(&mut self, ms: u64) -> wasmtime::Result<()> {
        self.meter.host_call(8)?;
        Ok(self.effects()?.sleep_ms(ms).await?)
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
