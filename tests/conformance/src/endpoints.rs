//! `wharf:endpoints`: what the host does with what a connector says.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, example, probe};
use tests_upstreams::{Credentials, Fault, Upstreams};

use crate::{go, report, run, set_up, workflow};

#[tokio::test]
async fn a_package_is_published_only_if_its_code_describes_what_it_declares() {
    let host = Host::start().await;
    host.publish(probe("echo")).await.expect(201);
    let more = host.publish(probe("undeclared-endpoint")).await.expect(422);
    assert!(more.text.contains("`secret-door`"), "{more:?}");
    let crash = host.publish(probe("trap-in-describe")).await.expect(422);
    assert!(crash.text.contains("describe"), "{crash:?}");
    assert_eq!(host.published().await, ["probe/echo@0.1.0"]);
}

#[tokio::test]
async fn a_check_reaches_the_outside_system_and_tells_what_it_said() {
    let credentials = Credentials::default();
    let crm = Upstreams::start(credentials.clone()).await.unwrap();
    let host = HostBuilder::default().open(crm.crm).start().await;
    host.publish(example("crm")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("key", &credentials.crm_token).await;
    let url = format!("http://{}", crm.crm);
    let connection =
        Connection::new("crm", "example/crm@0.1.0").config("base-url", &url).credential("api-key", "key");
    acme.apply(&connection.grant_http(&url).yaml()).await;
    let check = || acme.api(Method::POST, "/connections/crm/check", "");

    let well = check().await.expect(200).json();
    assert!(well["answer"].as_str().unwrap().contains("Acme Sales"), "{well}");
    crm.break_crm(Fault::status(503, 1));
    assert_eq!(check().await.expect(503).code(), "upstream-unavailable");
    acme.secret("key", "another").await;
    assert_eq!(check().await.expect(502).code(), "upstream-unauthorized");
    assert!(crm.crm_received().iter().all(|request| request.method == "GET"), "it changed nothing");
}

/// Status and code of a refusal.
type Told = (u16, &'static str);

/// Each case of `call-error`: as the API, as a webhook's caller, as a workflow sees it.
const ERRORS: [(&str, Told, Told, &str); 8] = [
    ("invalid-input", (422, "invalid-input"), (400, "invalid-input"), "CallError::InvalidInput"),
    ("unauthorized", (502, "upstream-unauthorized"), (401, "unauthorized"), "CallError::Unauthorized"),
    ("not-found", (502, "upstream-not-found"), (404, "not-found"), "CallError::NotFound"),
    ("conflict", (409, "upstream-conflict"), (409, "conflict"), "CallError::Conflict"),
    ("rate-limited", (429, "busy"), (429, "rate-limited"), "CallError::RateLimited(Some(7000))"),
    ("retry", (503, "upstream-unavailable"), (503, "retry"), "CallError::Retry"),
    ("permanent", (502, "upstream-failed"), (502, "connector-declined"), "CallError::Permanent"),
    ("other", (502, "upstream-failed"), (502, "connector-declined"), "CallError::Other"),
];

#[tokio::test]
async fn each_case_of_a_call_error_is_its_own_answer_of_the_api() {
    let host = Host::start().await;
    let acme = set_up(&host, &["errors"], &[Connection::probe("errors")]).await;
    for (case, (status, code), ..) in ERRORS {
        let answer = acme.call("errors", "go", json!(case)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{case}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(after, (case == "rate-limited").then_some("7"), "{case}");
        let told = report(&acme, "errors", json!(case)).await;
        assert_eq!(told["outcome"]["outcome"], "declined");
        assert_eq!(told["outcome"]["value"]["error"], case);
    }
}

#[tokio::test]
async fn each_case_of_a_call_error_is_its_own_answer_of_a_webhook() {
    let host = Host::start().await;
    let acme = set_up(&host, &["errors"], &[Connection::probe("errors")]).await;
    for (case, _, (status, code), _) in ERRORS {
        let answer = host.ask(acme.hook("errors/hook").body(case)).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{case}: {answer:?}");
        let told = answer.text.contains("as it was told");
        assert_eq!(told, case == "invalid-input", "only this text is meant for a stranger: {answer:?}");
        match case {
            "rate-limited" => assert_eq!(answer.headers["retry-after"], "7"),
            "retry" => assert!(answer.headers.contains_key("retry-after")),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_call_with_tries_of_its_own_is_tried_as_often_as_they_say() {
    let host = Host::start().await;
    let acme = set_up(&host, &["errors", "workflow-tried"], &[Connection::probe("errors")]).await;
    workflow(&acme, "workflow-tried", "errors", "errors").await;
    for (case, times, further) in [("retry", 3, 2), ("retry", 1, 0), ("conflict", 3, 0)] {
        let data = json!({ "input": case, "times": times });
        let answer = run(&host, &acme, "workflow-tried", data).await.expect(200).json();
        assert!(answer["result"].as_str().unwrap().starts_with("Err("), "{answer}");
        let shown = acme.run(answer["run"].as_str().unwrap()).await;
        let tries = shown["steps"][0]["tries"].as_array().map_or(0, Vec::len);
        assert_eq!(tries, further, "{case}: {shown}");
    }
}

#[tokio::test]
async fn each_case_of_a_call_error_reaches_a_workflow_as_it_is() {
    let host = Host::start().await;
    let acme = set_up(&host, &["errors", "workflow-call"], &[Connection::probe("errors")]).await;
    let roles = "roles: { target: errors, other: errors }";
    let package = "package: probe/workflow-call@0.1.0";
    acme.apply(&format!("kind: workflow\nname: workflow-call\n{package}\n{roles}\nretry: {{ tries: 1 }}\n"))
        .await;
    let wishes: Vec<_> = ERRORS
        .iter()
        .map(|(case, ..)| json!({ "role": "target", "endpoint": "go", "input": case }))
        .collect();
    let answer = run(&host, &acme, "workflow-call", json!(wishes)).await.expect(200).json();
    for (place, (case, _, _, want)) in ERRORS.iter().enumerate() {
        let got = answer["result"][place]["error"].as_str().unwrap();
        assert!(got.starts_with(want), "{case}: {got}");
    }
}

#[tokio::test]
async fn a_call_gives_its_input_to_the_guest_and_its_answer_to_the_caller() {
    let host = Host::start().await;
    let acme = set_up(&host, &["echo"], &[Connection::probe("echo")]).await;
    for input in [json!(null), json!({ "a": [1, 2.5, "ä\u{0}"] }), json!("x".repeat(900_000))] {
        assert_eq!(go(&acme, "echo", input.clone()).await, input);
    }
    for (path, body, status, code) in [
        ("echo/call/go", "{\"half\"", 400, "bad-request"),
        ("echo/call/og", "1", 422, "unknown-endpoint"),
        ("echo/call/hook", "1", 422, "unknown-endpoint"), // inbound is not outbound
        ("ohce/call/go", "1", 404, "not-found"),
    ] {
        let answer = acme.api(Method::POST, &format!("/connections/{path}"), body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_call_by_hand_and_each_step_of_a_run_have_an_idempotency_key_of_their_own() {
    let host = Host::start().await;
    let dump = Connection::probe("dump-everything")
        .config("base-url", "http://a.example")
        .config("account", "bot")
        .grant_kv();
    let dump = ["api-key", "query-key", "password"]
        .into_iter()
        .fold(dump, |dump, name| dump.credential(name, "key"));
    host.publish(probe("dump-everything")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("key", "some-key").await;
    acme.apply(&dump.yaml()).await;
    let asked =
        |gave: &Value| gave["asked"].as_str().unwrap().split("idempotency-key: ").nth(1).unwrap().to_owned();
    let first = asked(&go(&acme, "dump-everything", json!(1)).await);
    let again = asked(&go(&acme, "dump-everything", json!(1)).await);
    assert_ne!(first, again);

    host.publish(probe("workflow-call")).await.expect(201);
    workflow(&acme, "workflow-call", "dump-everything", "dump-everything").await;
    let wish = json!({ "role": "target", "endpoint": "go", "input": 1 });
    let answer = run(&host, &acme, "workflow-call", json!([wish, wish])).await.expect(200).json();
    let id = answer["run"].as_str().unwrap();
    for step in 0..2 {
        let key = asked(&answer["result"][step]["ok"]);
        assert!(key.starts_with(&format!("\"{id}-{step}\"")), "{key}");
    }
}

#[tokio::test]
async fn a_webhook_reaches_the_guest_with_its_raw_bytes_and_without_the_callers_credentials() {
    let host = Host::start().await;
    let dump =
        Connection::probe("dump-everything").config("base-url", "http://a.example").config("account", "bot");
    let dump = ["api-key", "query-key", "password"]
        .into_iter()
        .fold(dump, |dump, name| dump.credential(name, "key"));
    host.publish(probe("dump-everything")).await.expect(201);
    let acme = host.tenant("acme").await;
    acme.secret("key", "some-key").await;
    acme.apply(&dump.yaml()).await;
    let request = host
        .request(Method::PUT, "/hooks/acme/dump-everything/hook/a//b%20c?q=%C3%A4&q")
        .header("authorization", "Bearer hush")
        .header("cookie", "session=hush")
        .header("x-signature", "sha256=abc")
        .body(vec![0, 255, 7]);
    let gave = host.ask(request).await.expect(200).json();
    let asked = gave["asked"].as_str().unwrap();
    for want in [
        "endpoint: \"hook\"",
        "method: \"PUT\"",
        "path: \"a//b%20c\"",
        "query: Some(\"q=%C3%A4&q\")",
        "body: [0, 255, 7]",
        "x-signature",
    ] {
        assert!(asked.contains(want), "{want} in {asked}");
    }
    // Values are shown as numbers: look for the names.
    assert!(!asked.contains("\"authorization\"") && !asked.contains("\"cookie\""), "{asked}");
}

#[tokio::test]
async fn a_guests_own_answer_goes_to_the_caller_and_messages_start_runs() {
    let host = Host::start().await;
    let connections = [Connection::probe("echo"), Connection::probe("emit-n")];
    let acme = set_up(&host, &["echo", "emit-n", "workflow-random"], &connections).await;
    let echoed = host.ask(acme.hook("echo/hook").body("as it came")).await.expect(200);
    assert_eq!(echoed.text, "as it came");
    acme.apply(
        "kind: workflow\nname: each\npackage: probe/workflow-random@0.1.0\nroles: { target: echo, other: echo }\n\
         triggers:\n  - webhook: { connection: emit-n, message: probe }\n",
    )
    .await;
    let started = host.ask(acme.hook("emit-n/hook").body("3")).await.expect(202).json();
    let runs = started["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    for (number, id) in runs.iter().enumerate() {
        let shown = acme.ended(id.as_str().unwrap()).await;
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
        let input = &shown["run"]["input"];
        assert_eq!(input["data"], json!({ "n": number }).to_string());
        assert_eq!((&input["source"], &input["kind"]), (&json!("/connections/emit-n"), &json!("probe")));
        assert_eq!(shown["run"]["started-by"], json!({ "by": "webhook", "name": "emit-n" }));
    }
    let none = host.ask(acme.hook("emit-n/hook").body("0")).await.expect(202).json();
    assert_eq!(none["runs"], json!([]));
}
