//! Calls `target/go` in two places of a source that it makes up, and gives the
//! text that it was set up with.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

probes::workflow! {
    name: "workflow-place",
    run: |_| {
        calls::mark("lead.yaml:12 create");
        calls::call("target", "go", "1")?;
        calls::call("target", "go", "2")?;
        calls::mark("lead.yaml:20 greet");
        calls::call("target", "go", "3")?;
        Ok(json!({ "definition": calls::definition() }).to_string())
    },
}
