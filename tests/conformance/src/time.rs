//! `wharf:clock` and `wharf:random`: the host's for a connector, the journal's for a workflow.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests_harness::{Connection, Host};

use crate::{go, result, run, set_up, workflow};

#[expect(clippy::disallowed_methods, reason = "the host's clock is compared with the machine's")]
fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn numbers(value: &Value) -> [u64; 2] {
    [0, 1].map(|place| value[place].as_u64().unwrap())
}

#[tokio::test]
async fn a_connector_reads_the_clock_of_the_machine() {
    let host = Host::start().await;
    let acme = set_up(&host, &["random-and-time"], &[Connection::probe("random-and-time")]).await;
    let before = now_ms();
    let gave = go(&acme, "random-and-time", json!(null)).await;
    let after = now_ms();
    let [first, second] = numbers(&gave["now"]);
    assert!(before <= first && first <= second && second <= after, "{before} {gave} {after}");
    let [first, second] = numbers(&gave["monotonic"]);
    let minute = u64::try_from(Duration::from_secs(60).as_nanos()).unwrap();
    assert!(first <= second && second < minute, "nanoseconds since the call began: {gave}");
}

#[tokio::test]
async fn a_connectors_randomness_is_never_the_same_and_comes_in_4_kib_at_most() {
    let host = Host::start().await;
    let acme = set_up(&host, &["random-and-time"], &[Connection::probe("random-and-time")]).await;
    let calls =
        [go(&acme, "random-and-time", json!(null)).await, go(&acme, "random-and-time", json!(null)).await];
    let mut seen: Vec<_> = calls.iter().flat_map(|gave| numbers(&gave["random"])).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "{calls:?}");
    assert_eq!(calls[0]["bytes"], 4_096, "of the million that it asked for");
}

#[tokio::test]
async fn a_workflows_clock_is_its_journals_and_moves_only_with_its_steps() {
    let host = Host::start().await;
    let acme =
        set_up(&host, &["echo", "workflow-random", "workflow-sleep"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-random", "echo", "echo").await;
    workflow(&acme, "workflow-sleep", "echo", "echo").await;
    let answer = run(&host, &acme, "workflow-random", json!(null)).await.expect(200).json();
    let [first, second] = numbers(&answer["result"]["now"]);
    assert_eq!(first, second, "no step between them");
    let shown = acme.run(answer["run"].as_str().unwrap()).await;
    let accepted = shown["run"]["accepted-at"].as_str().unwrap();
    let [first, _] = numbers(&result(&host, &acme, "workflow-random", json!(null)).await["now"]);
    assert!(first >= second, "a later run");
    assert!(accepted.contains(&format!("{:03}", second % 1_000)), "{accepted} is {second} ms");
    let slept = result(&host, &acme, "workflow-sleep", json!({ "ms": 40 })).await;
    assert!(slept["slept-ms"].as_u64() >= Some(40), "{slept}");
}

#[tokio::test]
async fn a_workflows_randomness_differs_from_run_to_run() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo", "workflow-random"], &[Connection::probe("echo")]).await;
    workflow(&acme, "workflow-random", "echo", "echo").await;
    let runs = [
        result(&host, &acme, "workflow-random", json!(null)).await,
        result(&host, &acme, "workflow-random", json!(null)).await,
    ];
    let mut seen: Vec<_> = runs.iter().flat_map(|gave| numbers(&gave["random"])).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "{runs:?}");
}
