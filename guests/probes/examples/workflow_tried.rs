//! Calls `target/go` with the message's data `{"input", "times"}`, tried so
//! often with pauses of a millisecond. Gives the answer, or the error as text.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

fn run(data: &str) -> String {
    let data = probes::parse(data);
    let times = probes::at(&data, "times").as_u64().and_then(|it| it.try_into().ok()).unwrap_or_default();
    let tries = calls::Tries { times, first_ms: 1, longest_ms: 1 };
    let call = calls::start_tried("target", "go", &probes::at(&data, "input").to_string(), tries);
    json!(format!("{:?}", call.wait())).to_string()
}

probes::workflow! {
    name: "workflow-tried",
    run: |message| Ok(run(&message.data)),
}
