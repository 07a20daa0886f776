//! Starts the runs in its message's data, `[{"workflow", "input"}]`, all at
//! once, and waits for all of them. Gives a list of `{"ok"}` or `{"error"}`.

use probes::{Value, json};
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> String {
    let wishes = probes::parse(data);
    let start = |wish: &Value| {
        let workflow = probes::at(wish, "workflow").as_str().unwrap_or_default();
        calls::start_workflow(workflow, &probes::at(wish, "input").to_string())
    };
    let started: Vec<_> = wishes.as_array().into_iter().flatten().map(start).collect();
    let answers = calls::wait_all(&started.iter().collect::<Vec<_>>());
    Value::from_iter(answers.into_iter().map(|answer| match answer {
        Ok(gave) => json!({ "ok": probes::parse(&gave) }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }))
    .to_string()
}

probes::workflow! {
    name: "workflow-children",
    run: |message| Ok(run(&message.data)),
}
