//! `wharf:panic`: what a guest says of its end.

use serde_json::json;
use tests_harness::{Connection, Host};

use crate::{report, set_up};

#[tokio::test]
async fn a_panics_text_is_one_line_of_the_log_whatever_its_length() {
    let host = Host::start().await;
    let acme = set_up(&host, &["panic-words"], &[Connection::probe("panic-words")]).await;
    for length in [0, 1, 63, 64, 65, 128, 3_000] {
        let text: String = "grüße ".chars().cycle().take(length).collect();
        let told = report(&acme, "panic-words", json!(text)).await;
        let [line] = told["log"].as_array().unwrap().as_slice() else { panic!("one line: {told}") };
        assert_eq!((line["level"].as_str(), line["text"].as_str()), (Some("error"), Some(text.as_str())));
        assert_eq!(told["outcome"]["outcome"], "answered", "telling does not end a guest: {told}");
    }
}

#[tokio::test]
async fn a_panics_text_is_cut_at_4_kib_and_commands_no_terminal() {
    let host = Host::start().await;
    let acme = set_up(&host, &["panic-words"], &[Connection::probe("panic-words")]).await;
    let told = report(&acme, "panic-words", json!("ä".repeat(10_000))).await;
    let kept = told["log"][0]["text"].as_str().unwrap().strip_suffix('…').unwrap();
    assert!((4_000..=4_096).contains(&kept.len()), "{} bytes", kept.len());
    let told = report(&acme, "panic-words", json!("\u{1b}[31mred\n")).await;
    assert_eq!(told["log"][0]["text"], "\\u{1b}[31mred\\n");
}
