//! Makes the calls in its message's data, `[{"role", "endpoint", "input"}]`,
//! one after the other. Gives a list of `{"ok"}` or `{"error"}`.

use probes::{Value, json};
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn call(wish: &Value) -> Value {
    let text = |key: &str| probes::at(wish, key).as_str().unwrap_or_default();
    match calls::call(text("role"), text("endpoint"), &probes::at(wish, "input").to_string()) {
        Ok(gave) => json!({ "ok": probes::parse(&gave) }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

probes::workflow! {
    name: "workflow-call",
    run: |message| {
        let wishes = probes::parse(&message.data);
        Ok(Value::from_iter(wishes.as_array().into_iter().flatten().map(call)).to_string())
    },
}
