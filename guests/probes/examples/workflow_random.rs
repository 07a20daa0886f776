//! Gives what the journal says for now and random, twice each.

use wharf_sdk::{clock, random};

probes::workflow! {
    name: "workflow-random",
    run: |_| Ok(probes::json!({
        "now": [clock::now_ms(), clock::now_ms()],
        "random": [random::number(), random::number()],
    })
    .to_string()),
}
