//! Gives its connection's name, all its config, and each field that the input lists by itself.

use probes::{Value, json};
use wharf_sdk::connection;

fn tell(wishes: &Value) -> String {
    let names = wishes.as_array().into_iter().flatten().filter_map(Value::as_str);
    let fields: Vec<_> = names.map(connection::field).collect();
    json!({ "name": connection::name(), "all": probes::parse(&connection::all()), "fields": fields })
        .to_string()
}

probes::connector! {
    name: "config",
    manifest: "[config]\nplain = {}\nsite = { kind = \"url\" }\ncount = { kind = \"number\" }\n\
        on = { kind = \"boolean\" }\nregion = { default = \"emea\" }\nlimit = { kind = \"number\", default = 25 }\n\
        nickname = { optional = true }\n",
    go: |request| Ok(tell(&probes::parse(&request.input))),
    hook: |_| Ok(probes::messages(0)),
}
