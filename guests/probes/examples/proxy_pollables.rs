//! A web server that waits for an hour, thousands of times at once.
//!
//! - To it: it ends at its handles, and its caller gets a 502.
//! - To nobody else: no timer is left behind; the bystander is answered, and the host's
//!   memory returns to its base line.
//! - Bounds: 1,000 handles at once.

use probes::proxy::bindings::wasi::clocks::monotonic_clock::subscribe_duration;

/// In nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

fn wait() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(subscribe_duration(HOUR));
    }
}

probes::proxy! {
    name: "proxy-pollables",
    handle: |_, _| wait(),
}
