//! Does a list of kv operations: `["get", key]`, `["set", key, value]`,
//! `["set-for", key, value, ms]`, `["compare-and-set", key, value, version or null]`,
//! `["increment", key, by]`, `["delete", key]`, `["list", prefix, after or null, limit]`.
//! Gives a list: what each gave (`get`: `[value, version]` or null), or `{"error"}`.

use std::time::Duration;

use probes::{Value, json};
use wharf_sdk::kv;

fn operate(wish: &Value) -> Result<Value, kv::Error> {
    let text = |place: usize| probes::at(wish, place).as_str();
    let number = probes::at(wish, 3).as_u64();
    let (key, value) = (text(1).unwrap_or_default(), text(2).unwrap_or_default().as_bytes());
    Ok(match text(0) {
        Some("get") => json!(kv::get(key)?.map(|entry| (lossy(&entry.value), entry.version))),
        Some("set") => json!(kv::set(key, value)?),
        Some("set-for") => json!(kv::set_for(key, value, Duration::from_millis(number.unwrap_or(0)))?),
        Some("compare-and-set") => json!(kv::compare_and_set(key, number, value)?),
        Some("increment") => json!(kv::increment(key, probes::at(wish, 2).as_i64().unwrap_or(0))?),
        Some("delete") => json!(kv::delete(key)?),
        Some("list") => {
            let page = kv::list(key, text(2), number.unwrap_or(100) as u32)?;
            json!({ "keys": page.keys, "next": page.next })
        }
        _ => json!({ "error": "no such operation" }),
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

probes::connector! {
    name: "kv",
    manifest: "[grants]\nkv = true\n",
    go: |request| {
        let wishes = probes::parse(&request.input);
        let did = |wish| operate(wish).unwrap_or_else(|error| json!({ "error": format!("{error:?}") }));
        Ok(Value::from_iter(wishes.as_array().into_iter().flatten().map(did)).to_string())
    },
    hook: |_| Ok(probes::messages(0)),
}
