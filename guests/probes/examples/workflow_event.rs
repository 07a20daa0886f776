//! Expects the event that its message's data names, `{"name", "timeout-ms"?}`,
//! and tells `target/go` its address. Gives `{"ok"}` or `{"error"}`.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> probes::Gave {
    let wish = probes::parse(data);
    let name = probes::at(&wish, "name").as_str().unwrap_or_default();
    let expected = calls::expect_event(name, probes::at(&wish, "timeout-ms").as_u64());
    calls::call("target", "go", &json!({ "url": expected.url }).to_string())?;
    Ok(match expected.event.wait() {
        Ok(data) => json!({ "ok": probes::parse(&data) }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
    .to_string())
}

probes::workflow! {
    name: "workflow-event",
    run: |message| run(&message.data),
}
