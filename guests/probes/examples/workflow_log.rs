//! Logs its message's data, calls `target/go` with it and logs once more.

use wharf_sdk::bindings::workflow::wharf::workflow::calls;
use wharf_sdk::log;

probes::workflow! {
    name: "workflow-log",
    run: |message| {
        log::info!("before {}", message.data);
        let gave = calls::call("target", "go", &message.data)?;
        log::warn!("after {gave}");
        Ok(gave)
    },
}
