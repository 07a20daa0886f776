//! `wharf:log`: lines for the people who run and read a run.

use serde_json::{Value, json};
use tests_harness::{Connection, Host};

use crate::{report, run, set_up, workflow};

/// Level and text of each line.
fn lines(log: &Value) -> Vec<(&str, &str)> {
    log.as_array()
        .unwrap()
        .iter()
        .map(|line| (line["level"].as_str().unwrap(), line["text"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_line_keeps_its_level_and_its_place() {
    let host = Host::start().await;
    let acme = set_up(&host, &["log-lines"], &[Connection::probe("log-lines")]).await;
    let told = report(&acme, "log-lines", json!(1)).await;
    assert_eq!(told["outcome"], json!({ "outcome": "answered", "value": 1 }));
    let want = [("debug", "debug 1"), ("info", "info 1"), ("warn", "warn 1"), ("error", "error 1")];
    assert_eq!(lines(&told["log"]), want);
    assert!(told["usage"]["log-bytes"].as_u64() > Some(0));
    assert!(told["log"][0]["time"].is_string());
}

#[tokio::test]
async fn a_line_is_cut_at_4_kib() {
    let host = Host::start().await;
    let acme = set_up(&host, &["log-lines"], &[Connection::probe("log-lines")]).await;
    let told = report(&acme, "log-lines", json!("ä".repeat(10_000))).await;
    for (_, text) in lines(&told["log"]) {
        let kept = text.strip_suffix('…').unwrap();
        assert!((4_000..=4_096).contains(&kept.len()), "{} bytes", kept.len());
    }
}

#[tokio::test]
async fn what_would_command_a_terminal_or_forge_a_line_is_escaped() {
    let host = Host::start().await;
    let acme = set_up(&host, &["log-escapes"], &[Connection::probe("log-escapes")]).await;
    let told = report(&acme, "log-escapes", json!(null)).await;
    let [("warn", text)] = lines(&told["log"])[..] else { panic!("one line: {told}") };
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.contains("\\u{1b}[31mred") && text.contains("\\r\\n2026-01-01 ERROR forged"), "{text}");
}

#[tokio::test]
async fn a_run_shows_what_it_logged_and_each_step_what_its_connector_logged() {
    let host = Host::start().await;
    let acme = set_up(&host, &["log-lines", "workflow-log"], &[Connection::probe("log-lines")]).await;
    workflow(&acme, "workflow-log", "log-lines", "log-lines").await;
    let answer = run(&host, &acme, "workflow-log", json!(7)).await.expect(200);
    let shown = acme.run(answer.json()["run"].as_str().unwrap()).await;
    assert_eq!(lines(&shown["run"]["log"]), [("info", "before 7"), ("warn", "after 7")]);
    let step = lines(&shown["steps"][0]["log"]);
    assert_eq!(step, [("debug", "debug 7"), ("info", "info 7"), ("warn", "warn 7"), ("error", "error 7")]);
    assert!(!host.log().contains("before 7"), "a guest's lines are its tenant's, not the operator's");
}
