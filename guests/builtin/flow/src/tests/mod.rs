//! Workflows as people write them, run against a host that is played.

mod at_once;
mod errors;
mod fake;
mod replay;
mod steps;

use serde_json::{Value, json};
use wharf_sdk::workflow::Message;

use self::fake::Fake;
use crate::failure::Failure;
use crate::run::interpret;

/// A workflow of these steps; the first stands in line 4 of `lead.yaml`.
fn flow(steps: &str) -> host_flow::Flow {
    let text = format!("kind: workflow\nname: test\nsteps:\n{steps}");
    host_flow::read(&text, "lead.yaml").unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn message(data: &Value) -> Message {
    Message {
        id: "msg_1".into(),
        source: "/connections/form".into(),
        kind: "lead".into(),
        subject: None,
        time_ms: 1_767_225_600_500,
        data: data.to_string(),
    }
}

fn run_flow(flow: &host_flow::Flow, data: Value, host: &Fake) -> Result<Value, Failure> {
    let answer = interpret(flow, &message(&data), host.clone())?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// Runs these steps for a message with this data.
fn run(steps: &str, data: Value, host: &Fake) -> Result<Value, Failure> {
    run_flow(&flow(steps), data, host)
}

/// Runs these steps on a host whose calls answer what they are given.
fn echo(steps: &str, data: Value) -> (Value, Vec<String>) {
    let host = Fake::new(|_, input| Ok(input.clone()));
    let answer = run(steps, data, &host).unwrap_or_else(|failure| panic!("{failure}"));
    (answer, host.log())
}

/// That these steps fail, and how.
fn fails(steps: &str, data: Value) -> String {
    let host = Fake::new(|_, _| Ok(json!(null)));
    let failure = run(steps, data, &host).expect_err("it failed");
    format!("{}: {failure}", failure.kind.as_str())
}
