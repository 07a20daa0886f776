//! Fails for good, after one call of `target/go`.

use wharf_sdk::bindings::workflow::wharf::workflow::calls;

probes::workflow! {
    name: "workflow-fail",
    run: |message| {
        calls::call("target", "go", &message.data)?;
        Err(probes::CallError::Permanent("the probe fails".to_owned()))
    },
}
