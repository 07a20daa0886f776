//! Starting runs and looking at them.

use host_cli::Exit;
use serde_json::{Value, json};

use crate::fake::{Fake, refused};

const RUN: &str = "run_01K9ZZZZZZZZZZZZZZZZZZZZZZ";

fn usage(fuel: u64, peak: u64) -> Value {
    json!({ "fuel": fuel, "peak-memory": peak, "guest-us": 310, "host-calls": 12, "outbound-calls": 3 })
}

fn run() -> Value {
    json!({
        "id": RUN,
        "tenant": "acme",
        "workflow": "lead-intake",
        "package": "example/lead-intake@0.1.0",
        "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "started-by": { "by": "webhook", "name": "website" },
        "status": "failed",
        "input": {
            "id": "msg_01K9ZZZZZZZZZZZZZZZZZZZZZZ",
            "source": "/connections/website",
            "kind": "lead",
            "subject": null,
            "time": "2026-11-21T03:00:00Z",
            "data": "{\"email\":\"ada@example.com\"}",
        },
        "accepted-at": "2026-11-21T03:00:00Z",
        "finished-at": "2026-11-21T03:00:00.084Z",
        "attempts": 2,
        "outcome": { "outcome": "declined", "value": { "error": "permanent", "detail": "the mail API said no" } },
        "usage": usage(1_234_567, 2 << 20),
        "steps": 2,
        "log": [{ "time": "2026-11-21T03:00:00Z", "level": "info", "text": "a lead from EMEA" }],
        "failure": {
            "kind": "fuel", "place": "lead.yaml:9 odd\nforged",
            "retry": { "tries": 4, "first-ms": 1, "longest-ms": 5, "per-run": 9 }, "bounds": { "fuel": 100 },
        },
    })
}

fn steps() -> Value {
    let step = |number: u32, effect: Value, outcome: Value| {
        json!({
            "number": number,
            "completed": number,
            "effect": effect,
            "idempotency-key": format!("{RUN}/{number}"),
            "started-at": "2026-11-21T03:00:00.002Z",
            "finished-at": "2026-11-21T03:00:00.014Z",
            "outcome": outcome,
            "usage": usage(61_000, 1 << 20),
            "log": [{ "time": "2026-11-21T03:00:00.01Z", "level": "warn", "text": "odd\nforged" }],
            "place": format!("lead.yaml:{} odd\nforged", number + 7),
        })
    };
    let call = |role: &str, endpoint: &str| json!({ "effect": "call", "role": role, "connection": format!("acme-{role}"), "endpoint": endpoint, "input": "{}" });
    json!([
        step(0, call("crm", "create-lead"), json!({ "outcome": "answered", "value": "{\"id\":\"lead-1\"}" })),
        step(
            1,
            call("mail", "send"),
            json!({
                "outcome": "exceeded", "value": { "bound": "fuel", "limit": 100, "used": 101 },
            })
        ),
    ])
}

#[tokio::test]
async fn a_run_is_shown_step_by_step() {
    let body = json!({ "run": run(), "steps": steps() });
    let fake = Fake::answering(vec![(
        "GET /api/v1/tenants/acme/runs/run_01K9ZZZZZZZZZZZZZZZZZZZZZZ",
        200,
        body.clone(),
    )])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "runs", "show", RUN]).await;
    let want = r#"
run_01K9ZZZZZZZZZZZZZZZZZZZZZZ failed: lead-intake (example/lead-intake@0.1.0)
  accepted 2026-11-21 03:00:00.000 UTC, started by the webhook of website
  took     84 ms, taken up 2 times
  used     1.2 M fuel, 310 µs of guest time, 2 MiB at most, 12 host calls, 3 requests out
  input    lead {"email":"ada@example.com"}
  step 0   +2 ms  crm → acme-crm create-lead  (lead.yaml:7 odd\nforged)
    took   12 ms, 61 k fuel, 1 MiB
    input  {}
    gave   answered {"id":"lead-1"}
    log    warn: odd\nforged
  step 1   +2 ms  mail → acme-mail send  (lead.yaml:8 odd\nforged)
    took   12 ms, 61 k fuel, 1 MiB
    input  {}
    gave   passed its bound on fuel: the limit is 100, it wanted 101
    log    warn: odd\nforged
  log      info: a lead from EMEA
  result   declined: permanent failure: the mail API said no
  failure  fuel at lead.yaml:9 odd\nforged
    retry  0 of 9 used; 4 tries a step, pauses of 1 to 5 ms
    bounds fuel 100
"#;
    assert_eq!(told.out, want.trim_start());
    assert_eq!(told.exit, Exit::Done, "it was asked to show, and did");

    let raw = fake.wharf(&["--tenant", "acme", "runs", "show", RUN, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&raw.out).unwrap(), body);
}

#[tokio::test]
async fn runs_are_listed_by_page() {
    let fake = Fake::answering(vec![(
        "GET /api/v1/tenants/acme/runs?limit=20&workflow=lead-intake&status=failed",
        200,
        json!({ "items": [run()], "link": format!("<?after={RUN}&limit=1>; rel=\"next\"") }),
    )])
    .await;
    let list = ["--tenant", "acme", "runs", "list", "--workflow", "lead-intake", "--status", "failed"];
    let told = fake.wharf(&list).await;
    assert_eq!(
        told.out,
        format!(
            "RUN                             STATUS  WORKFLOW     ACCEPTED              TOOK   STEPS\n\
             {RUN}  failed  lead-intake  2026-11-21T03:00:00Z  84 ms  2\n"
        )
    );
    assert_eq!(told.err, format!("more: add `--after {RUN}`\n"));
    assert!(refused(&["runs", "list", "--since", "yesterday"]).contains("how long ago: 90m, 12h, 7d"));
    assert!(refused(&["runs", "replay", RUN, "--workflow", "lead-intake"]).contains("cannot be used with"));
    assert!(refused(&["runs", "list", "--status", "sucess"]).contains(
        "accepted, waiting, paused, cancelling, succeeded, failed, diverged, cancelled, terminated"
    ));
}

#[tokio::test]
async fn a_run_that_is_not_waited_for_gives_its_id() {
    let accepted = json!({ "run": RUN, "runs": [RUN] });
    let fake = Fake::answering(vec![("POST /run/acme/lead-intake", 202, accepted)]).await;
    let told = fake
        .wharf(&[
            "--tenant",
            "acme",
            "run",
            "lead-intake",
            "--async",
            "--data",
            "{\"n\":1.10}",
            "--idempotency-key",
            "k",
        ])
        .await;
    assert_eq!((told.exit, told.out), (Exit::Done, format!("{RUN} accepted\n")));
    let asked = &fake.asked()[0];
    assert_eq!(asked.headers["prefer"], "respond-async");
    assert_eq!(asked.headers["idempotency-key"], "k");
    assert_eq!(asked.body, "{\"n\":1.10}", "as it was written");
}

#[tokio::test]
async fn a_run_that_takes_longer_than_the_wait_goes_on_and_says_so() {
    let fake = Fake::answering(vec![("POST /run/acme/lead-intake", 202, json!({ "run": RUN }))]).await;
    let told = fake.wharf(&["--tenant", "acme", "run", "lead-intake", "--wait", "1"]).await;
    assert_eq!(told.exit, Exit::TryAgain);
    assert!(told.err.contains(&format!("wharf runs show {RUN}")), "{}", told.err);
    assert_eq!(fake.asked()[0].headers["prefer"], "wait=1");
    assert_eq!(fake.asked()[0].body, "null");
}

#[tokio::test]
async fn a_run_that_is_waited_for_gives_its_result_alone() {
    let done = json!({ "run": RUN, "status": "succeeded", "result": { "lead_id": "lead-1" } });
    let fake = Fake::answering(vec![("POST /run/acme/lead-intake", 200, done.clone())]).await;
    let run = ["--tenant", "acme", "run", "lead-intake"];
    let told = fake.wharf(&run).await;
    assert_eq!((told.exit, told.out.as_str()), (Exit::Done, "{\"lead_id\":\"lead-1\"}\n"));
    assert_eq!(told.err, format!("{RUN} succeeded:\n"));
    assert_eq!(fake.asked()[0].headers["prefer"], "wait=30");
    let raw = fake.wharf(&[&run[..], &["--json"]].concat()).await;
    assert_eq!(serde_json::from_str::<Value>(&raw.out).unwrap(), done);
}

#[tokio::test]
async fn a_run_that_failed_is_a_failure_that_can_be_looked_at() {
    let problem =
        json!({ "status": 502, "code": "run-failed", "detail": "run failed: permanent", "run": RUN });
    let fake = Fake::answering(vec![("POST /run/acme/lead-intake", 502, problem.clone())]).await;
    let run = ["--tenant", "acme", "run", "lead-intake"];
    let told = fake.wharf(&run).await;
    assert_eq!(told.exit, Exit::Failed);
    let want =
        format!("error: run failed: permanent (run-failed)\n  `wharf runs show {RUN}` shows what it did\n");
    assert_eq!(told.err, want);
    let raw = fake.wharf(&[&run[..], &["--json"]].concat()).await;
    assert_eq!(serde_json::from_str::<Value>(&raw.err).unwrap(), problem);
}

#[tokio::test]
async fn data_is_json_wherever_it_comes_from() {
    let fake = Fake::answering(vec![("POST /run/acme/w", 202, json!({ "run": RUN }))]).await;
    let run = ["--tenant", "acme", "run", "w", "--async", "--data"];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[1]").unwrap();
    let at = format!("@{}", file.path().display());
    assert_eq!(fake.wharf(&[&run[..], &[&at]].concat()).await.exit, Exit::Done);
    assert_eq!(fake.wharf_reading("[2]", &[&run[..], &["-"]].concat()).await.exit, Exit::Done);
    assert_eq!(fake.asked().iter().map(|asked| asked.body.as_str()).collect::<Vec<_>>(), ["[1]", "[2]"]);

    for bad in ["{", "@/nonexistent"] {
        assert_eq!(fake.wharf(&[&run[..], &[bad]].concat()).await.exit, Exit::Usage, "{bad}");
    }
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn dead_letters_say_what_failed_how_often_and_within_which_limits() {
    let mut run = run();
    run["failure"] = json!({
        "kind": "rate-limited",
        "step": { "number": 1, "asked": "call of mail.send with {}", "kind": "rate-limited", "tries": 2,
                  "place": "lead.yaml:12 greet" },
        "retries": 1,
        "retry": { "tries": 2, "first-ms": 500, "longest-ms": 60_000, "per-run": 100 },
        "bounds": { "fuel": 100 },
        "deadline-ms": 9_000,
    });
    let tries = json!([{ "at": "2026-11-21T03:00:00.002Z", "kind": "rate-limited", "why": "rate\nlimited" }]);
    let letter = json!({ "run": run, "tries": tries, "gave-up": "it was tried 2 times" });
    let fake = Fake::answering(vec![
        ("GET /api/v1/tenants/acme/dead-letters?kind=rate-limited&limit=20", 200, json!([letter])),
        ("POST /api/v1/tenants/acme/dead-letters/dismiss?workflow=lead-intake", 200, json!([{ "run": RUN }])),
    ])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "runs", "dead-letters", "--kind", "rate-limited"]).await;
    let want = format!(
        r#"{RUN} lead-intake failed, 2026-11-21T03:00:00Z
  result   declined: permanent failure: the mail API said no
  failure  rate-limited
    step   1 at lead.yaml:12 greet: call of mail.send with {{}} (rate-limited, tried 2 times)
    retry  1 of 100 used; 2 tries a step, pauses of 500 to 60000 ms
    ended  9000 ms after its acceptance at the latest
    bounds fuel 100
    try 1  2026-11-21T03:00:00.002Z rate\nlimited
    not tried again: it was tried 2 times
"#
    );
    assert_eq!(told.out, want);

    let all =
        ["--tenant", "acme", "runs", "dismiss", "--all", "--workflow", "lead-intake", "--why", "by hand"];
    let told = fake.wharf(&all).await;
    assert_eq!((told.exit, told.out), (Exit::Done, format!("{RUN} dismissed\n")));
    assert_eq!(serde_json::from_str::<Value>(&fake.asked()[1].body).unwrap(), json!({ "why": "by hand" }));
    assert!(!refused(&["runs", "dismiss"]).is_empty(), "one, or --all");
    assert!(!refused(&["runs", "dismiss", RUN, "--all"]).is_empty(), "not both");
}

#[tokio::test]
async fn errors_for_a_test_are_made_up_by_kind_in_their_order() {
    let path = "POST /api/v1/tenants/acme/workflows/intake/test";
    let fake = Fake::answering(vec![(path, 404, json!({ "status": 404, "code": "not-found" }))]).await;
    let test = ["--tenant", "acme", "test", "intake", "--error"];
    let errors = [
        "crm.find=retry:busy: later",
        "--error",
        "crm.find=rate-limited:70",
        "--error",
        "crm.find=rate-limited",
    ];
    fake.wharf(&[&test[..], &errors].concat()).await;
    let body: Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
    let want = json!({ "crm.find": [{ "error": "retry", "detail": "busy: later" }, { "error": "rate-limited", "detail": 70 },
                                    { "error": "rate-limited", "detail": null }] });
    assert_eq!(body["errors"], want);
    for (bad, why) in
        [("crm.find", "NAME=KIND"), ("crm.find=often", "rate-limited"), ("a.b=rate-limited:1s", "`1s`")]
    {
        let refused = refused(&[&test[..], &[bad]].concat());
        assert!(refused.contains(why), "{bad}: {refused}");
    }
}
