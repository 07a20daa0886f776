//! `wharf:clock`: the host's clock for a connector, the journal's for a workflow.

use crate::bindings::connector::wharf::clock::clock;
use crate::{Call, Subject};

impl clock::Host for Call {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.meter.host_call(8)?;
        let now = match &self.subject {
            Subject::Run(effects) => effects.now(),
            Subject::Nobody | Subject::Connection(_) => self.host.clock.now(),
        };
        Ok(u64::try_from(now.timestamp_millis()).unwrap_or(0))
    }

    fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        self.meter.host_call(8)?;
        Ok(match &self.subject {
            Subject::Run(effects) => {
                u64::try_from(effects.now().timestamp_millis()).unwrap_or(0).saturating_mul(1_000_000)
            }
            Subject::Nobody | Subject::Connection(_) => {
                u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
            }
        })
    }
}
