//! Sleeps for `{"ms"}`, or a second, and gives how far the clock moved.

use std::time::Duration;

use wharf_sdk::{clock, workflow};

fn run(data: &str) -> String {
    let before = clock::now_ms();
    workflow::sleep(Duration::from_millis(probes::at(&probes::parse(data), "ms").as_u64().unwrap_or(1_000)));
    probes::json!({ "slept-ms": clock::now_ms().saturating_sub(before) }).to_string()
}

probes::workflow! {
    name: "workflow-sleep",
    run: |message| Ok(run(&message.data)),
}
