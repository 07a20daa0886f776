//! `wharf:random`: the system's for a connector, the journal's for a workflow.

use crate::bindings::connector::wharf::random::random;
use crate::{Call, Subject};

/// The most bytes that one call gives: enough for any key or nonce.
const MAX_BYTES: u32 = 4_096;

impl Call {
    fn fill(&mut self, bytes: &mut [u8]) -> wasmtime::Result<()> {
        match &self.subject {
            Subject::Run(effects) => effects.fill_random(bytes),
            Subject::Nobody | Subject::Connection(_) => getrandom::fill(bytes)?,
        }
        Ok(())
    }
}

impl random::Host for Call {
    fn bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(MAX_BYTES) as usize];
        self.meter.host_call(bytes.len())?;
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn number(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.meter.host_call(bytes.len())?;
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
