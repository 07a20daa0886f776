//! A web server that answers after a second, whatever its bound on time is.
//!
//! - To it: it ends at its wall time; what it says then reaches nobody.
//! - To nobody else: the caller is told in time; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: the wall time of its connection.

use probes::proxy::bindings::wasi::clocks::monotonic_clock::subscribe_duration;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

probes::proxy! {
    name: "proxy-late",
    handle: |_, out| {
        subscribe_duration(SECOND).block();
        probes::proxy::say(out, "too late\n");
    },
}
