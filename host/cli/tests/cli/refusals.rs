//! Whatever goes wrong has an exit code and says what to do.

use host_cli::Exit;
use serde_json::json;

use crate::fake::{Fake, wharf};

#[tokio::test]
async fn every_kind_of_refusal_has_its_exit_code() {
    let problem = |status: u16| json!({ "status": status, "code": "some-code", "detail": "it said no" });
    for (status, exit) in [
        (400, Exit::Failed),
        (401, Exit::Absent),
        (403, Exit::Absent),
        (404, Exit::Absent),
        (409, Exit::Failed),
        (429, Exit::TryAgain),
        (500, Exit::Failed),
        (503, Exit::TryAgain),
    ] {
        let fake = Fake::answering(vec![("GET /api/v1/packages", status, problem(status))]).await;
        let told = fake.wharf(&["packages"]).await;
        assert_eq!(told.exit, exit, "{status}");
        assert!(told.err.starts_with("error: it said no (some-code)\n"), "{}", told.err);
        let json: serde_json::Value =
            serde_json::from_str(&fake.wharf(&["packages", "--json"]).await.err).unwrap();
        assert_eq!(json, problem(status));
    }
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_back_and_a_proxys_page_is_not_trusted() {
    let fake = Fake::answering(vec![
        ("GET /api/v1/packages", 429, json!({ "status": 429, "code": "busy", "detail": "too many calls" })),
        ("GET /api/v1/tokens", 502, json!("<html>\u{1b}[31mBad Gateway</html>")),
    ])
    .await;
    assert!(fake.wharf(&["packages"]).await.err.contains("try again in 7 s"));
    let told = fake.wharf(&["token", "list"]).await;
    assert_eq!(told.exit, Exit::Failed);
    assert!(told.err.contains("502") && !told.err.contains('\u{1b}'), "{}", told.err);
}

#[tokio::test]
async fn no_server_is_an_exit_code_of_its_own_with_advice() {
    // Port 1 is reserved and nothing listens there.
    let told =
        wharf("", &["wharf", "--server", "http://127.0.0.1:1", "--home", "/nonexistent", "packages"]).await;
    assert_eq!(told.exit, Exit::Unreachable);
    assert!(told.err.contains("cannot reach http://127.0.0.1:1/"), "{}", told.err);
    assert!(told.err.contains("wharf up"), "{}", told.err);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_not_guessed_at() {
    let fake = Fake::answering(vec![("GET /api/v1/packages", 200, json!({ "hello": "world" }))]).await;
    let told = fake.wharf(&["packages"]).await;
    assert_eq!(told.exit, Exit::Failed);
    assert!(told.err.contains("does not understand"), "{}", told.err);
}

#[tokio::test]
async fn a_token_for_a_tls_server_is_not_sent_in_the_clear() {
    let fake = Fake::answering(vec![("GET /api/v1/packages", 200, json!([]))]).await;
    let server = format!("https://{}", fake.address());
    let told =
        wharf("", &["wharf", "--server", &server, "--token", "t", "--home", "/none", "packages"]).await;
    assert_eq!(told.exit, Exit::Unreachable, "{}", told.err);
    assert!(fake.asked().is_empty());
}
