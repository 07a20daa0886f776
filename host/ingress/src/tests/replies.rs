//! What the outside is told.

use std::time::Duration;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::id::{MessageId, RunId};
use host_model::message::Message;
use host_model::outcome::{Bound, CallError, Exceeded, Outcome, Usage};
use host_model::run::{Run, RunStatus, StartedBy};
use serde_json::json;

use super::*;

const EPOCH: Timestamp = Timestamp::UNIX_EPOCH;

fn id(number: u8) -> RunId {
    RunId::new(EPOCH, [number; 10])
}

fn run(status: RunStatus, outcome: Option<Outcome<String>>) -> Run {
    Run {
        id: id(1),
        tenant: "acme".parse().unwrap(),
        workflow: "intake".parse().unwrap(),
        package: "example/intake@0.1.0".parse().unwrap(),
        digest: Digest::of(b""),
        started_by: StartedBy::Manual(None),
        status,
        input: Message {
            id: MessageId::new(EPOCH, [0; 10]),
            source: "/run".into(),
            kind: "lead".into(),
            subject: None,
            time: EPOCH,
            data: "{}".into(),
        },
        accepted_at: EPOCH,
        finished_at: None,
        attempts: 1,
        outcome,
        failure: None,
        usage: Usage::default(),
        steps: 0,
        log: vec![],
        keys: Default::default(),
        deadline: None,
        reply: None,
        waits: vec![],
        replay_of: None,
        replayed_by: None,
        interventions: vec![],
        test: None,
    }
}

/// The response to a POST for which the stages give this.
async fn told(
    path: &str,
    prefer: &str,
    result: impl Fn() -> Result<Reply, Refusal> + Send + Sync + 'static,
) -> Response {
    let front = routes(Limits::default(), move |_| {
        let result = result();
        async move { result }
    });
    let request = Request::post(path).header("prefer", prefer).body(Body::empty()).unwrap();
    send(&front, request).await
}

async fn finished(path: &str, status: RunStatus, outcome: Option<Outcome<String>>) -> (Response, Value) {
    ended(path, run(status, outcome)).await
}

async fn ended(path: &str, run: Run) -> (Response, Value) {
    let response = told(path, "", move || Ok(Reply::Finished(Box::new(run.clone())))).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, Body::empty()), serde_json::from_slice(&body).unwrap())
}

const HOOK: &str = "/hooks/acme/form";
const RUN: &str = "/run/acme/intake";

#[tokio::test]
async fn accepted_runs_are_named_and_located() {
    let accepted = |runs: Vec<RunId>| {
        move || Ok(Reply::Accepted { tenant: "acme".parse().unwrap(), runs: runs.clone() })
    };
    let response = told(HOOK, "respond-async", accepted(vec![id(1), id(2)])).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["location"], format!("/api/v1/tenants/acme/runs/{}", id(1)).as_str());
    assert_eq!(response.headers()["preference-applied"], "respond-async");
    let body: Value = serde_json::from_slice(&body_of(response).await).unwrap();
    assert_eq!(body, json!({ "run": id(1), "runs": [id(1), id(2)] }));

    let response = told(HOOK, "", accepted(vec![])).await;
    assert_eq!(response.status(), 202);
    assert!(!response.headers().contains_key("location"));
    assert!(!response.headers().contains_key("preference-applied"));
    let body: Value = serde_json::from_slice(&body_of(response).await).unwrap();
    assert_eq!(body, json!({ "runs": [] }));
}

#[tokio::test]
async fn a_finished_run_gives_its_result() {
    let answered = Some(Outcome::Answered(r#"{"lead":7.10}"#.to_owned()));
    let (response, body) = finished(RUN, RunStatus::Succeeded, answered).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["location"], format!("/api/v1/tenants/acme/runs/{}", id(1)).as_str());
    assert_eq!(body, json!({ "run": id(1), "status": "succeeded", "result": { "lead": 7.10 } }));

    let (_, body) = finished(RUN, RunStatus::Succeeded, Some(Outcome::Answered("not \"JSON".into()))).await;
    assert_eq!(body["result"], "not \"JSON");

    let (response, body) = finished(RUN, RunStatus::Accepted, None).await;
    assert_eq!((response.status().as_u16(), &body["run"]), (202, &json!(id(1))));
}

#[tokio::test]
async fn a_failed_run_says_why_to_those_who_hold_a_token() {
    let exceeded = |bound| Outcome::Exceeded(Exceeded { bound, limit: 5, used: 6 });
    let check = async |path, outcome, status: u16, want: &str| {
        let (response, body) = finished(path, RunStatus::Failed, Some(outcome)).await;
        assert_eq!(response.status(), status, "{body}");
        assert_eq!(body["code"], "run-failed");
        assert_eq!(body["run"], json!(id(1)));
        assert_eq!(body["detail"], format!("run {} failed{want}", id(1)));
    };
    let invalid = || Outcome::Declined(CallError::InvalidInput("no e-mail".into()));
    check(RUN, invalid(), 422, ": invalid input: no e-mail").await;
    check(HOOK, invalid(), 422, "").await;
    check(
        RUN,
        Outcome::Declined(CallError::Permanent("CRM said 500".into())),
        502,
        ": permanent failure: CRM said 500",
    )
    .await;
    check(HOOK, Outcome::Declined(CallError::Permanent("CRM said 500".into())), 502, "").await;
    check(
        RUN,
        exceeded(Bound::WallTime),
        504,
        ": the workflow passed its bound on wall-time (ms): the limit is 5, it wanted 6",
    )
    .await;
    check(
        RUN,
        exceeded(Bound::Fuel),
        502,
        ": the workflow passed its bound on fuel: the limit is 5, it wanted 6",
    )
    .await;
    check(RUN, Outcome::Trapped("wasm trap in secret_fn".into()), 502, ": the workflow crashed").await;

    let retry = json!({ "tries": 1, "first-ms": 1, "longest-ms": 1, "per-run": 1 });
    let failure = json!({ "kind": "fuel", "place": "lead.yaml:9 odd", "retry": retry, "bounds": {} });
    let failure = Some(serde_json::from_value(failure).unwrap());
    let odd = Run { failure, ..run(RunStatus::Failed, Some(exceeded(Bound::Fuel))) };
    let (_, body) = ended(RUN, odd).await;
    let want = format!("run {} failed at lead.yaml:9 odd: the workflow passed its bound on fuel", id(1));
    assert!(body["detail"].as_str().unwrap().starts_with(&want), "{body}");
}

#[tokio::test]
async fn a_guests_answer_has_its_own_status_and_body_and_a_safe_head() {
    let headers: HeaderMap =
        [("content-length", "9999"), ("set-cookie", "a=b"), ("content-type", "text/html")]
            .iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
    let answer = Answer { status: StatusCode::IM_A_TEAPOT, headers, body: "<b>".into() };
    let response = told(HOOK, "", move || Ok(Reply::Answer(answer.clone()))).await;
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["content-security-policy"], "sandbox");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["content-type"], "text/html");
    assert!(!response.headers().contains_key("set-cookie"));
    assert_ne!(response.headers().get("content-length").map(|length| length.as_bytes()), Some(&b"9999"[..]));
    assert_eq!(&body_of(response).await[..], b"<b>");

    for status in [100, 101, 199, 600, 999] {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let refused = problem(told(HOOK, "", move || Ok(Reply::Answer(answer.clone()))).await).await;
        assert_eq!((refused.0, refused.1.as_str()), (502, "connector-failed"), "{status}");
    }
}

#[tokio::test]
async fn a_streamed_answer_gets_the_same_safe_head() {
    let stream = || {
        let response = Response::builder().status(201).header("set-cookie", "a=b").header("x-kept", "1");
        Ok(Reply::Stream(response.body(Body::from("x")).unwrap()))
    };
    let response = told(HOOK, "", stream).await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-security-policy"], "sandbox");
    assert_eq!(response.headers()["x-kept"], "1");
    assert!(!response.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn every_refusal_has_one_status_and_one_code() {
    let check = async |refusal: fn() -> Refusal, status: u16, code: &str, detail: &str| {
        let problem = problem(told(HOOK, "", move || Err(refusal())).await).await;
        assert_eq!((problem.0, problem.1.as_str()), (status, code));
        assert!(problem.2.contains(detail), "{code}: {}", problem.2);
        assert!(!problem.2.contains("hush"), "{code} tells what it must not: {}", problem.2);
        let told = refusal().problem();
        assert_eq!((told.status, told.code.as_str()), (status, code));
    };
    use Refusal as R;
    check(|| R::NoRoute, 404, "no-route", "").await;
    check(|| R::MethodNotAllowed { allow: "POST" }, 405, "method-not-allowed", "POST").await;
    check(|| R::BadRequest("it has no head".into()), 400, "bad-request", "it has no head").await;
    check(|| R::Unauthorized, 401, "unauthorized", "Bearer").await;
    check(
        || R::TooManyFailures { retry_after: Duration::from_secs(6) },
        429,
        "too-many-failures",
        "your address",
    )
    .await;
    check(|| R::Forbidden("a viewer".into()), 403, "forbidden", "").await;
    check(|| R::UriTooLong { limit: 7 }, 414, "uri-too-long", "7 bytes").await;
    check(|| R::HeadersTooLarge { lines: 3, bytes: 7 }, 431, "headers-too-large", "3 lines or 7 bytes").await;
    check(|| R::BodyTooLarge { limit: 7 }, 413, "body-too-large", "7 bytes").await;
    check(|| R::BodyTooSlow { limit: Duration::from_secs(7) }, 408, "body-too-slow", "7 s").await;
    check(|| R::KeyReused, 422, "idempotency-key-reused", "new key").await;
    check(|| R::Busy { retry_after: Duration::ZERO }, 429, "busy", "").await;
    check(|| R::Draining, 503, "draining", "").await;
    check(|| R::Short { what: "disk" }, 503, "host-short", "short of disk").await;
    let over = || R::OverQuota { why: "quota `runs-per-day`".into(), retry_after: Duration::from_secs(9) };
    check(over, 429, "quota-used-up", "runs-per-day").await;
    check(|| R::Full, 503, "full", "").await;
    check(|| R::GuestFailed("hush".into()), 502, "connector-failed", "").await;
    check(|| R::internal("hush"), 500, "internal", "").await;

    let exceeded = || R::GuestExceeded(Exceeded { bound: Bound::Memory, limit: 64, used: 65 });
    check(exceeded, 502, "exceeded-memory", "the limit is 64, it wanted 65").await;

    use CallError as C;
    check(|| R::Declined(C::InvalidInput("no e-mail".into())), 400, "invalid-input", "no e-mail").await;
    check(|| R::Declined(C::Unauthorized("hush".into())), 401, "unauthorized", "").await;
    check(|| R::Declined(C::NotFound("hush".into())), 404, "not-found", "").await;
    check(|| R::Declined(C::Conflict("hush".into())), 409, "conflict", "").await;
    check(|| R::Declined(C::RateLimited(None)), 429, "rate-limited", "").await;
    check(|| R::Declined(C::Retry("hush".into())), 503, "retry", "").await;
    check(|| R::Declined(C::Permanent("hush".into())), 502, "connector-declined", "").await;
    check(|| R::Declined(C::Other("hush".into())), 502, "connector-declined", "").await;
}

#[tokio::test]
async fn retry_after_is_in_whole_seconds_and_never_zero() {
    let after = async |refusal: fn() -> Refusal| {
        let response = told(HOOK, "", move || Err(refusal())).await;
        response.headers()["retry-after"].to_str().unwrap().to_owned()
    };
    assert_eq!(after(|| Refusal::Busy { retry_after: Duration::ZERO }).await, "1");
    assert_eq!(after(|| Refusal::Busy { retry_after: Duration::from_millis(1_001) }).await, "2");
    assert_eq!(after(|| Refusal::Declined(CallError::RateLimited(Some(60_000)))).await, "60");
    assert_eq!(after(|| Refusal::Declined(CallError::RateLimited(None))).await, "5");
}

#[tokio::test]
async fn what_is_not_an_answer_becomes_the_refusal_that_fits() {
    assert_eq!(Refusal::unless_answered(Outcome::Answered(7)).unwrap(), 7);
    let refused = |outcome: Outcome<()>| Refusal::unless_answered(outcome).unwrap_err().problem().code;
    assert_eq!(refused(Outcome::Declined(CallError::Conflict("x".into()))), "conflict");
    assert_eq!(refused(Outcome::Trapped("x".into())), "connector-failed");
    assert_eq!(refused(Outcome::BadAnswer("x".into())), "connector-failed");
    let exceeded = Exceeded { bound: Bound::Fuel, limit: 1, used: 2 };
    assert_eq!(refused(Outcome::Exceeded(exceeded)), "exceeded-fuel");
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    let front = routes(Limits::default(), |inbound| async move {
        assert!(inbound.uri.query().is_none(), "hush");
        Ok(Reply::Accepted { tenant: "acme".parse().unwrap(), runs: vec![] })
    });
    let post = |path: &str| Request::post(path).body(Body::empty()).unwrap();
    let refused = problem(send(&front, post("/hooks/acme/form?panic")).await).await;
    assert_eq!((refused.0, refused.1.as_str()), (500, "internal"));
    assert!(!refused.2.contains("hush"));
    assert_eq!(send(&front, post(HOOK)).await.status(), 202);
}
