//! Gives what clock and random say, twice each, and how many bytes it got of 1,000,000.

use wharf_sdk::{clock, random};

fn ask() -> String {
    probes::json!({
        "now": [clock::now_ms(), clock::now_ms()],
        "monotonic": [clock::monotonic().as_nanos() as u64, clock::monotonic().as_nanos() as u64],
        "random": [random::number(), random::number()],
        "bytes": random::bytes(1_000_000).len(),
    })
    .to_string()
}

probes::connector! {
    name: "random-and-time",
    manifest: "",
    go: |_| Ok(ask()),
    hook: |_| Ok(probes::answer(200, ask())),
}
