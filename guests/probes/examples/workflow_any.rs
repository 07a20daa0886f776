//! Starts `target/go` and `other/go` with its message's data and waits for the
//! one that is done first, then for both. Gives `{"first", "answers"}`.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> String {
    let started = [calls::start("target", "go", data), calls::start("other", "go", data)];
    let first = calls::wait_any(&started.iter().collect::<Vec<_>>());
    let answers: Vec<_> = started.iter().map(|pending| format!("{:?}", pending.wait())).collect();
    json!({ "first": first, "answers": answers }).to_string()
}

probes::workflow! {
    name: "workflow-any",
    run: |message| Ok(run(&message.data)),
}
