//! Calls by hand, packages, runs and secrets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use std::time::Duration;

use host_control::ports::PortError;
use host_model::outcome::{Bound, CallError, Exceeded, Outcome};
use serde_json::json;
use world::*;

const CALL: &str = "/tenants/acme/connections/crm/call/create-lead";

#[tokio::test]
async fn a_call_takes_json_and_gives_the_endpoints_answer() {
    let world = World::with_lead().await;
    let answer = world.post(CALL, " {\"name\": \"Ada\"} ").await;
    assert_eq!(
        (answer.text.as_str(), answer.headers["content-type"].as_bytes()),
        ("{\"id\":7}", &b"application/json"[..])
    );
    assert_eq!(*world.calls.asked.lock().unwrap(), ["call acme crm create-lead {\"name\": \"Ada\"}"]);
    let report = world.post(&format!("{CALL}?report=true"), "1").await.ok();
    assert_eq!(
        report,
        json!({ "outcome": { "outcome": "answered", "value": { "id": 7 } }, "usage": report["usage"], "log": [] })
    );
    assert_eq!(report["usage"]["fuel"], 42);

    world.calls.will(Ok(Outcome::Answered("reached, key accepted".to_owned())));
    assert_eq!(
        world.post("/tenants/acme/connections/crm/check", "").await.ok(),
        json!({ "answer": "reached, key accepted" })
    );
}

#[tokio::test]
async fn what_cannot_be_called_is_refused_before_any_guest_runs() {
    let world = World::with_lead().await;
    let detail = world
        .post("/tenants/acme/connections/crm/call/creat-lead", "1")
        .await
        .refused(422, "unknown-endpoint");
    assert!(detail.contains("did you mean `create-lead`?"), "{detail}");
    world.post("/tenants/acme/connections/web-form/call/submit", "1").await.refused(422, "unknown-endpoint");
    world.post("/tenants/acme/connections/nope/call/x", "1").await.refused(404, "not-found");
    world.post(CALL, "{not json").await.refused(400, "bad-request");
    world.post(CALL, "1 2").await.refused(400, "bad-request");
    world.post(CALL, "x".repeat((1 << 20) + 1)).await.refused(413, "body-too-large");
    assert!(world.calls.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_way_a_call_can_end_has_its_status_and_code() {
    let world = World::with_lead().await;
    let text = || "no".to_owned();
    let exceeded = Exceeded { bound: Bound::Fuel, limit: 5, used: 6 };
    for (outcome, status, code) in [
        (Outcome::Declined(CallError::InvalidInput(text())), 422, "invalid-input"),
        (Outcome::Declined(CallError::Unauthorized(text())), 502, "upstream-unauthorized"),
        (Outcome::Declined(CallError::NotFound(text())), 502, "upstream-not-found"),
        (Outcome::Declined(CallError::Conflict(text())), 409, "upstream-conflict"),
        (Outcome::Declined(CallError::Retry(text())), 503, "upstream-unavailable"),
        (Outcome::Declined(CallError::Permanent(text())), 502, "upstream-failed"),
        (Outcome::Exceeded(exceeded), 502, "bound-passed"),
        (Outcome::Trapped(text()), 502, "connector-crashed"),
        (Outcome::BadAnswer(text()), 502, "bad-answer"),
    ] {
        world.calls.will(Ok(outcome));
        world.post(CALL, "1").await.refused(status, code);
        assert!(world.post(&format!("{CALL}?report=true"), "1").await.status.is_success());
    }
    world.calls.will(Ok(Outcome::Declined(CallError::RateLimited(Some(1_500)))));
    assert_eq!(world.post(CALL, "1").await.headers["retry-after"], "2");
    world.calls.will(Err(PortError::Busy(Duration::from_secs(3))));
    let busy = world.post(CALL, "1").await;
    busy.refused(429, "busy");
    assert_eq!(busy.headers["retry-after"], "3");
    world.calls.will(Err(PortError::Internal("disk on fire".to_owned())));
    let failed = world.post(CALL, "1").await;
    failed.refused(500, "internal");
    assert!(!failed.text.contains("fire"), "a cause is for the log");
}

#[tokio::test]
async fn a_package_is_published_listed_and_shown() {
    let world = World::new().await;
    let bytes = package(&CRM.replace("0.1.0", "0.2.0"));
    let published = world.post("/packages", bytes.clone()).await;
    assert_eq!((published.status.as_u16(), &published.json()["created"]), (201, &json!(true)));
    let again = world.post("/packages", bytes).await;
    assert_eq!((again.status.as_u16(), &again.json()["created"]), (200, &json!(false)));

    let listed = world.get("/packages?limit=2").await;
    assert!(
        listed.headers["link"].to_str().unwrap().contains("after=example%2Fcrm%400.2.0"),
        "{:?}",
        listed.headers
    );
    assert_eq!(listed.ok()[0]["summary"], "A CRM");
    let shown = world.get("/packages/example/crm/0.2.0").await.ok();
    assert_eq!(shown["manifest"]["endpoints"]["create-lead"]["direction"], "outbound");
    world.get("/packages/example/crm/9.9.9").await.refused(404, "not-found");
    world.get("/packages/example/crm/latest").await.refused(404, "not-found");
}

#[tokio::test]
async fn an_upload_that_is_no_package_is_refused_and_leaves_nothing() {
    let world = World::new().await;
    let before = world.stored().await;
    for (bytes, want) in [
        (b"".to_vec(), "not WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (package(CRM)[..200].to_vec(), "ends in the middle"),
        (package(&CRM.replace("direction", "direktion")), "wharf.toml line 7: unknown field `direktion`"),
    ] {
        let detail = world.post("/packages", bytes).await.refused(422, "bad-package");
        assert!(detail.contains(want), "{detail}");
    }
    world.post("/packages", vec![0; (32 << 20) + 1]).await.refused(413, "body-too-large");
    let changed = world.post("/packages", package(&CRM.replace("A CRM", "Another"))).await;
    assert!(changed.refused(409, "version-exists").contains("versions are immutable"));
    let ours = world.post("/packages", package(&CRM.replace("example/crm", "wharf/crm"))).await;
    assert!(ours.refused(403, "namespace-reserved").contains("choose another"));
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn runs_are_listed_filtered_and_shown_with_their_steps() {
    let world = World::with_lead().await;
    let runs = world.get("/tenants/acme/runs?workflow=intake&status=succeeded&limit=1").await;
    assert_eq!(
        runs.headers["link"],
        format!("<?after={RUN}&limit=1&workflow=intake&status=succeeded>; rel=\"next\"")
    );
    assert_eq!(runs.ok()[0]["id"], RUN);
    assert_eq!(world.get(&format!("/tenants/acme/runs/{RUN}")).await.ok()["steps"], json!([]));
    world.get("/tenants/acme/runs/run_00000000000000000000000009").await.refused(404, "not-found");
    world.get("/tenants/acme/runs/nonsense").await.refused(404, "not-found");
    let detail = world.get("/tenants/acme/runs?status=suceeded").await.refused(400, "bad-request");
    assert!(detail.contains("did you mean `succeeded`?"), "{detail}");
}

#[tokio::test]
async fn runs_are_found_by_time_error_connection_and_business_keys() {
    let world = World::with_lead().await;
    let found = async |query: &str| {
        world.get(&format!("/tenants/acme/runs?{query}")).await.ok().as_array().unwrap().len()
    };
    assert_eq!(found("key=customer:47:1%201&connection=crm").await, 1);
    assert_eq!(found("key=customer:47:1%201&key=order:1").await, 0, "both must match");
    assert_eq!(found("key=customer:2").await, 0);
    assert_eq!(found("error=rate-limited").await, 0);
    assert_eq!(found("since=1969-12-31T00:00:00Z&until=1970-01-01T01:00:00%2B01:00").await, 0);
    assert_eq!(found("since=1969-12-31T23:00:00Z&until=1970-01-01T00:00:01Z").await, 1);
    for (query, want) in [
        ("since=yesterday", "write one like 2026-01-31T08:00:00Z"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "`since` is not before `until`"),
        ("error=ratelimited", "did you mean `rate-limited`?"),
        ("key=4711", "like `customer:4711`"),
        ("key=a:1&key=a:2", "two values for `a`"),
        ("key=a:1&key=b:1&key=c:1&key=d:1&key=e:1", "at most 4"),
        ("connection=no%20name", "connection"),
        ("conection=crm", "did you mean `connection`?"),
        ("workflow=intake&workflow=other", "duplicate field `workflow`"),
    ] {
        let detail = world.get(&format!("/tenants/acme/runs?{query}")).await.refused(400, "bad-request");
        assert!(detail.contains(want), "{query}: {detail}");
        let replay = serde_json::json!({ "from": "start", "request": "r" });
        let path = format!("/tenants/acme/runs/replay?status=failed&{query}");
        let detail = world.post(&path, replay.to_string()).await.refused(400, "bad-request");
        assert!(detail.contains(want), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_secret_goes_in_and_only_its_name_comes_out() {
    let world = World::new().await;
    let path = "/tenants/acme/secrets/crm-key";
    assert_eq!(world.put(path, json!({ "value": "hush-hush" })).await.status, 204);
    let listed = world.get("/tenants/acme/secrets").await;
    assert_eq!(listed.text, "[\"crm-key\"]");
    assert_eq!(world.get("/tenants/globex/secrets").await.text, "[]");
    for wrong in [json!({ "valu": "hush-hush" }), json!({ "value": ["hush-hush"] }), json!("hush-hush")] {
        let refused = world.put(path, wrong).await;
        refused.refused(422, "invalid");
        assert!(!refused.text.contains("hush"), "{}", refused.text);
    }
    world.delete(path).await.ok();
    world.delete(path).await.refused(404, "not-found");
}

#[tokio::test]
async fn an_event_is_durable_or_refused_by_name() {
    let world = World::with_lead().await;
    let to = |event: &str| format!("/tenants/acme/runs/{RUN}/events/{event}");
    let sent = world.post(&to("approved"), "{\"by\": \"ada\"}").await;
    assert_eq!((sent.status.as_u16(), sent.text.as_str()), (204, ""));
    world.post(&to("approved"), "{not json").await.refused(400, "bad-request");
    world.post(&to("taken"), "1").await.refused(409, "event-taken");
    world.post(&to("late"), "1").await.refused(410, "run-over");
    world.post(&to("more"), "1").await.refused(409, "events-full");
    world.post(&to("approved"), "x".repeat((1 << 20) + 1)).await.refused(413, "body-too-large");
    let other = RUN.replace("run_", "msg_");
    world.post(&format!("/tenants/acme/runs/{other}/events/approved"), "1").await.refused(404, "not-found");
    world.post(&format!("/tenants/globex/runs/{RUN}/events/approved"), "1").await.refused(404, "not-found");
}
