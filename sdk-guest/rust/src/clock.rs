//! The time. In a workflow it comes from the journal, so a replay sees the same.

use std::time::Duration;

use crate::bindings::connector::wharf::clock::clock;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> u64 {
    clock::now_ms()
}

/// Time since some instant before the call began; only differences mean anything.
pub fn monotonic() -> Duration {
    Duration::from_nanos(clock::monotonic_ns())
}

/// Milliseconds, rounded up: a wait never becomes shorter.
pub(crate) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
