//! Names a call of `target/go` that undoes it, for each of its message's data,
//! and waits for an event that never comes.

use wharf_sdk::bindings::workflow::wharf::workflow::calls;

probes::workflow! {
    name: "workflow-undo",
    run: |message| {
        for input in probes::parse(&message.data).as_array().into_iter().flatten() {
            calls::on_cancel("target", "go", &input.to_string());
        }
        calls::expect_event("never", None).event.wait()
    },
}
