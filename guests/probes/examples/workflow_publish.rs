//! Publishes `{"topic", "data"}`. Gives `{"count"}` or `{"error"}`.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> String {
    let wish = probes::parse(data);
    let topic = probes::at(&wish, "topic").as_str().unwrap_or_default();
    match calls::publish(topic, &probes::at(&wish, "data").to_string()) {
        Ok(count) => json!({ "count": count }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
    .to_string()
}

probes::workflow! {
    name: "workflow-publish",
    run: |message| Ok(run(&message.data)),
}
