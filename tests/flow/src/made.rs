//! Workflows made for one test: set up, started, looked at.

use reqwest::Method;
use serde_json::Value;
use tests_harness::LeadIntake;

/// Sets up steps under the name `made`; their first line is the third of `test.yaml`.
pub(crate) async fn made(intake: &LeadIntake, steps: &str) {
    intake.acme().apply(&format!("kind: workflow\nname: made\n{steps}")).await;
}

/// Starts a run of `made` and waits for its end.
pub(crate) async fn run(intake: &LeadIntake, data: Value) -> Value {
    let started = start(intake, "made", data).await;
    intake.acme().ended(&started).await
}

/// Starts a run; gives its id.
pub(crate) async fn start(intake: &LeadIntake, workflow: &str, data: Value) -> String {
    let request = intake.host.request(Method::POST, &format!("/run/acme/{workflow}"));
    let request = request.bearer_auth(intake.acme().token).header("prefer", "respond-async");
    let request = request.header("content-type", "application/json").body(data.to_string());
    LeadIntake::run_of(&intake.host.ask(request).await.expect(202))
}

/// What a run that failed says.
pub(crate) fn said(shown: &Value) -> String {
    assert_eq!(shown["run"]["status"], "failed", "{shown}");
    shown["run"]["outcome"].to_string()
}
