//! Replies twice, waits for the event `go-on` and gives its data.

use wharf_sdk::bindings::workflow::wharf::workflow::calls;

probes::workflow! {
    name: "workflow-reply",
    run: |_| {
        calls::reply("\"early\"");
        calls::reply("\"too late\"");
        calls::expect_event("go-on", None).event.wait()
    },
}
