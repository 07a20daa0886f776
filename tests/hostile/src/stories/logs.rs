//! Log lines that a terminal would obey.

use serde_json::json;

use crate::scene::Scene;

#[tokio::test]
async fn what_a_guest_logs_cannot_paint_a_terminal_or_forge_a_line() {
    let scene = Scene::with(&["log-escapes"]).await;
    let report = scene.report("log-escapes", json!(1)).await;
    let line = report["log"][0]["text"].as_str().unwrap();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(line.contains("\\u{1b}[31mred") && line.contains("\\r\\n2026-01-01 ERROR forged"), "{line}");

    scene.knock("log-escapes", "hello").await.expect(200);
    let log = scene.host.log();
    assert!(log.contains("ERROR forged"), "a webhook's log reaches the operator: {log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01 ERROR forged")), "{log}");
    for obeyed in ['\u{7}', '\u{0}', '\u{9b}'] {
        assert!(!log.contains(obeyed), "{log:?}");
    }
    assert!(!log.contains("\u{1b}[31mred"), "{log:?}");
}
