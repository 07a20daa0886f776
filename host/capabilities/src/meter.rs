//! Counts what a call uses and says which bound it passes.

use host_model::bounds::Bounds;
use host_model::outcome::{Bound, Exceeded, Usage};

/// What a host call costs besides its data, so that a flood of empty calls ends too.
const CALL_OVERHEAD: u64 = 64;

/// One call's use against its bounds. Fuel and memory are counted by the
/// sandbox; everything that crosses between guest and host is counted here.
#[derive(Clone, Debug)]
pub struct Meter {
    bounds: Bounds,
    usage: Usage,
    passed: Option<Exceeded>,
}

impl Meter {
    /// A meter at zero.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, usage: Usage::default(), passed: None }
    }

    /// What the call may use.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// What it has used.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The bound that was passed where no trap could be raised: in WASI's own host functions.
    pub fn passed(&self) -> Option<Exceeded> {
        self.passed
    }

    /// Counts one host call with this many bytes of arguments and results.
    pub fn host_call(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.usage.host_calls += 1;
        self.bytes(bytes)
    }

    /// Counts one call of a function of WASI. It cannot fail there: the bytes,
    /// and this call, are judged with the next that carries data.
    pub fn wasi_call(&mut self) {
        self.usage.host_calls += 1;
    }

    /// Counts more bytes of a host call.
    pub fn bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.usage.host_call_bytes = self.usage.host_call_bytes.saturating_add(bytes as u64);
        let overhead = self.usage.host_calls.saturating_mul(CALL_OVERHEAD);
        let (used, limit) =
            (self.usage.host_call_bytes.saturating_add(overhead), self.bounds.host_call_bytes);
        self.within(Bound::HostCallBytes, used, limit)
    }

    /// Counts one outbound request.
    pub fn outbound_call(&mut self) -> Result<(), Exceeded> {
        self.usage.outbound_calls += 1;
        let (used, limit) = (self.usage.outbound_calls, self.bounds.outbound_calls);
        self.within(Bound::OutboundCalls, used.into(), limit.into())
    }

    /// Counts log text.
    pub fn log(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.usage.log_bytes = self.usage.log_bytes.saturating_add(bytes as u64);
        let (used, limit) = (self.usage.log_bytes, self.bounds.log_bytes);
        self.within(Bound::LogBytes, used, limit)
    }

    /// Counts log text that was bounded where it was written: a WASI guest's output.
    pub fn logged(&mut self, bytes: u64) {
        self.usage.log_bytes = self.usage.log_bytes.saturating_add(bytes);
    }

    /// Refuses an outbound body over its bound.
    pub fn body(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let limit = self.bounds.body_bytes;
        self.within(Bound::BodyBytes, bytes as u64, limit)
    }

    fn within(&mut self, bound: Bound, used: u64, limit: u64) -> Result<(), Exceeded> {
        if used <= limit {
            return Ok(());
        }
        let exceeded = Exceeded { bound, limit, used };
        self.passed = Some(exceeded);
        Err(exceeded)
    }
}

#[test]
fn the_first_step_over_a_bound_names_it() {
    let mut meter = Meter::new(Bounds { outbound_calls: 1, log_bytes: 5, ..Bounds::default() });
    assert_eq!(meter.outbound_call(), Ok(()));
    assert_eq!(meter.outbound_call(), Err(Exceeded { bound: Bound::OutboundCalls, limit: 1, used: 2 }));
    assert_eq!(meter.log(5), Ok(()));
    assert_eq!(meter.log(1), Err(Exceeded { bound: Bound::LogBytes, limit: 5, used: 6 }));
    assert_eq!(meter.passed().map(|exceeded| exceeded.bound), Some(Bound::LogBytes));
}
