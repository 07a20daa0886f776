//! Sets the business keys in its message's data, `[[name, value]]`. Gives a
//! list of `"set"` or the error.

use probes::Value;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn set(key: &Value) -> Value {
    let text = |place: usize| probes::at(key, place).as_str().unwrap_or_default();
    match calls::set_key(text(0), text(1)) {
        Ok(()) => Value::from("set"),
        Err(error) => Value::from(format!("{error:?}")),
    }
}

probes::workflow! {
    name: "workflow-keys",
    run: |message| {
        let keys = probes::parse(&message.data);
        Ok(Value::from_iter(keys.as_array().into_iter().flatten().map(set)).to_string())
    },
}
