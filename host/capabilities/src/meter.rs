//! Counts what a call uses and says which bound it passes.

use host_model::bounds::Bounds;
use host_model::outcome::{Bound, Exceeded, Usage};

/// What a host call costs besides its data, so that a flood of empty calls ends too.
const CALL_OVERHEAD: u64 = 64;

/// Fuel of a host call besides what it does for the guest: 100 ns.
///
/// Whatever the host does is charged one unit a nanosecond, as measured on the
/// release build. A guest's own code gets through some ten in that time: calls
/// of the host are what connectors are for. So a call that spends all its fuel
/// on them holds the CPU for a tenth of a second, and for seconds without this.
const CALL: u64 = 100;
/// Bytes that one unit copies and, if they are a text, validates.
const BYTES_A_UNIT: u64 = 4;

/// Fuel of so many bytes.
pub(crate) fn copied(bytes: u64) -> u64 {
    bytes / BYTES_A_UNIT
}

/// One call's use against its bounds. Memory, and the fuel of the guest's own
/// code, are counted by the sandbox; everything that crosses between guest and
/// host, and the fuel that the host used for it, are counted here.
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

    /// What it has used. The fuel is the host's part of it.
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
        self.work(CALL)?;
        self.bytes(bytes)
    }

    /// Charges fuel for what the host does for the guest. The same work costs
    /// the same in every call, whatever it took this time.
    pub fn work(&mut self, fuel: u64) -> Result<(), Exceeded> {
        self.charge(fuel);
        self.within(Bound::Fuel, self.usage.fuel, self.bounds.fuel)
    }

    fn charge(&mut self, fuel: u64) {
        self.usage.fuel = self.usage.fuel.saturating_add(fuel);
    }

    /// Counts one call of a function of WASI. It cannot fail there: the bytes,
    /// and this call, are judged with the next that carries data.
    pub fn wasi_call(&mut self) {
        self.usage.host_calls += 1;
        self.charge(CALL);
    }

    /// Counts more bytes of a host call.
    pub fn bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let bytes = bytes as u64;
        self.work(copied(bytes))?;
        self.usage.host_call_bytes = self.usage.host_call_bytes.saturating_add(bytes);
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
fn the_same_calls_cost_the_same_fuel_and_end_at_it() {
    let spent = |calls: &[usize]| {
        let mut meter = Meter::new(Bounds::default());
        calls.iter().for_each(|bytes| meter.host_call(*bytes).unwrap());
        meter.usage().fuel
    };
    assert_eq!(spent(&[]), 0);
    assert_eq!(spent(&[0, 0, 4_000]), 3 * CALL + 1_000);
    assert_eq!(spent(&[4_000, 0, 0]), spent(&[0, 0, 4_000]));

    let mut meter = Meter::new(Bounds { fuel: 10 * CALL, ..Bounds::default() });
    assert!((0..10).all(|_| meter.host_call(0).is_ok()));
    let passed = Exceeded { bound: Bound::Fuel, limit: 10 * CALL, used: 11 * CALL };
    assert_eq!(meter.host_call(0), Err(passed));
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
