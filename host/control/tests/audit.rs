//! The audit log: every operation that changes something leaves its entry, and
//! who reads which. What a chain is, is tested in `host/audit`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use std::collections::BTreeSet;

use axum::body::Body;
use host_control::{Role, Scope};
use host_store::Store;
use serde_json::{Value, json};
use world::*;

/// What must never be in the log.
const CANARY: &str = "hush-hush-canary";

/// One operation that changes something or sends something: its id, what is
/// asked, and kind and name of its entry. `TOKEN` stands for a token of acme's.
fn doings() -> Vec<(&'static str, &'static str, String, Value, &'static str, &'static str)> {
    let of = |path: &str| format!("/tenants/acme{path}");
    let run = |what: &str| format!("/tenants/acme/runs/{RUN}{what}");
    let form = json!({ "name": "other", "package": "example/web-form@0.1.0" });
    vec![
        (
            "create_token",
            "POST",
            "/tokens".to_owned(),
            json!({ "tenant": "acme", "role": "viewer" }),
            "token",
            "tok_",
        ),
        (
            "rotate_token",
            "POST",
            "/tokens/TOKEN/rotate".to_owned(),
            json!({ "overlap-s": 5 }),
            "token",
            "TOKEN",
        ),
        ("delete_token", "DELETE", "/tokens/TOKEN".to_owned(), Value::Null, "token", "TOKEN"),
        ("logout", "POST", "/logout".to_owned(), Value::Null, "token", "tok_"),
        ("publish_package", "POST", "/packages".to_owned(), json!("PACKAGE"), "package", "example/crm@0.1.0"),
        (
            "put_tenant",
            "PUT",
            "/tenants/initech".to_owned(),
            json!({ "name": "initech" }),
            "tenant",
            "initech",
        ),
        ("delete_tenant", "DELETE", "/tenants/globex".to_owned(), Value::Null, "tenant", "globex"),
        ("put_connection", "PUT", of("/connections/other"), form, "connection", "other"),
        ("authorize_connection", "POST", of("/connections/crm/authorize"), Value::Null, "connection", "crm"),
        (
            "consent_to_connection",
            "POST",
            of("/connections/crm/consent"),
            json!("DIGEST"),
            "connection",
            "crm",
        ),
        (
            "withdraw_from_connection",
            "DELETE",
            of("/connections/crm/consent"),
            Value::Null,
            "connection",
            "crm",
        ),
        (
            "consent_to_workflow",
            "POST",
            of("/workflows/intake/consent"),
            json!("DIGEST"),
            "workflow",
            "intake",
        ),
        (
            "withdraw_from_workflow",
            "DELETE",
            of("/workflows/intake/consent"),
            Value::Null,
            "workflow",
            "intake",
        ),
        ("check_connection", "POST", of("/connections/crm/check"), Value::Null, "connection", "crm"),
        (
            "call_endpoint",
            "POST",
            of("/connections/crm/call/create-lead"),
            json!({ "name": CANARY }),
            "connection",
            "crm",
        ),
        ("delete_schedule", "DELETE", of("/schedules/nightly"), Value::Null, "schedule", "nightly"),
        (
            "put_schedule",
            "PUT",
            of("/schedules/nightly"),
            json!({ "name": "nightly", "cron": "0 3 * * *", "workflow": "intake" }),
            "schedule",
            "nightly",
        ),
        (
            "test_workflow",
            "POST",
            of("/workflows/intake/test"),
            json!({ "input": CANARY }),
            "workflow",
            "intake",
        ),
        (
            "put_schema",
            "PUT",
            of("/schemas/note@1"),
            json!({ "name": "note", "version": 1, "schema": { "type": "object" } }),
            "schema",
            "note@1",
        ),
        ("delete_schema", "DELETE", of("/schemas/note@1"), Value::Null, "schema", "note@1"),
        ("send_event", "POST", run("/events/approved"), json!({ "by": CANARY }), "run", RUN),
        ("pause_run", "POST", run("/pause"), json!({}), "run", RUN),
        ("resume_run", "POST", run("/resume"), json!({}), "run", RUN),
        ("cancel_run", "POST", run("/cancel"), json!({}), "run", RUN),
        ("terminate_run", "POST", run("/terminate"), json!({}), "run", RUN),
        ("replay_run", "POST", run("/replay"), json!({ "from": "start", "input": CANARY }), "run", RUN),
        ("dismiss_run", "POST", run("/dismiss"), json!({}), "run", RUN),
        (
            "replay_runs",
            "POST",
            of("/runs/replay?status=failed"),
            json!({ "from": "start", "request": "r" }),
            "run",
            "",
        ),
        ("dismiss_dead_letters", "POST", of("/dead-letters/dismiss"), json!({}), "dead-letter", ""),
        ("publish_to_topic", "POST", of("/topics/leads"), json!({ "name": CANARY }), "topic", "leads"),
        ("put_secret", "PUT", of("/secrets/other"), json!({ "value": CANARY }), "secret", "other"),
        ("delete_secret", "DELETE", of("/secrets/other"), Value::Null, "secret", "other"),
        ("rotate_master_key", "POST", "/keys/rotate-master".to_owned(), Value::Null, "key", ""),
        ("rotate_data_keys", "POST", "/keys/rotate-data?tenant=acme".to_owned(), Value::Null, "key", ""),
        ("apply", "POST", "/apply?tenant=acme".to_owned(), json!("YAML"), "schedule", "weekly"),
        ("delete_workflow", "DELETE", of("/workflows/intake"), Value::Null, "workflow", "intake"),
        (
            "put_workflow",
            "PUT",
            of("/workflows/intake"),
            json!({ "name": "intake", "package": "example/intake@0.1.0", "roles": { "crm": "crm" } }),
            "workflow",
            "intake",
        ),
        ("delete_connection", "DELETE", of("/connections/other"), Value::Null, "connection", "other"),
    ]
}

/// The next version of a package, which asks for more.
async fn wait_for_consent(world: &World, manifest: String, package_is: &str) {
    world.control.registry.publish(package(&manifest).into(), "test").await.unwrap();
    let next = LEAD.replace(&format!("{package_is}@0.1.0"), &format!("{package_is}@0.2.0"));
    world.apply(&next, "tenant=acme").await.ok();
}

/// Something before an operation that makes it possible.
async fn prepare(world: &World, operation: &str) {
    match operation {
        "consent_to_connection" | "withdraw_from_connection" => {
            let more = CRM.replace("0.1.0", "0.2.0").replace("[grants]", "[grants]\nkv = true");
            wait_for_consent(world, more, "example/crm").await;
        }
        "consent_to_workflow" | "withdraw_from_workflow" => {
            let deleting = CRM.replace("0.1.0", "0.1.1").replace(
                "[config.base-url]",
                "[endpoints.delete-lead]\ndirection = \"outbound\"\n[config.base-url]",
            );
            world.control.registry.publish(package(&deleting).into(), "test").await.unwrap();
            let mut crm = world.get("/tenants/acme/connections/crm").await.ok();
            crm["package"] = json!("example/crm@0.1.1");
            world.put("/tenants/acme/connections/crm", crm).await.ok();
            let more = INTAKE
                .replace("0.1.0", "0.2.0")
                .replace("\"create-lead\"", "\"create-lead\", \"delete-lead\"");
            world.control.registry.publish(package(&more).into(), "test").await.unwrap();
            let mut intake = world.get("/tenants/acme/workflows/intake").await.ok();
            intake["package"] = json!("example/intake@0.2.0");
            world.put("/tenants/acme/workflows/intake", intake).await.ok();
        }
        "put_workflow" => {
            for path in ["schedules/nightly", "workflows/intake"] {
                world.delete(&format!("/tenants/acme/{path}")).await;
            }
        }
        "put_schedule" | "delete_workflow" => {
            drop(world.delete("/tenants/acme/schedules/nightly").await.ok())
        }
        "delete_connection" => {
            let form = json!({ "name": "other", "package": "example/web-form@0.1.0" });
            world.put("/tenants/acme/connections/other", form).await.ok();
        }
        "delete_schema" => {
            let note = json!({ "name": "note", "version": 1, "schema": { "type": "object" } });
            world.put("/tenants/acme/schemas/note@1", note).await.ok();
        }
        "delete_secret" => {
            world.put("/tenants/acme/secrets/other", json!({ "value": CANARY })).await.ok();
        }
        _ => {}
    }
}

/// Of acme's: the clock stands still, and tells nothing between chains.
async fn newest(world: &World) -> Value {
    world.get("/audit?tenant=acme&limit=1").await.ok()[0].clone()
}

#[tokio::test]
async fn every_operation_that_changes_something_leaves_its_entry() {
    let doings = doings();
    let document = World::new().await.get("/openapi.json").await.ok();
    let changing: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap())
        .filter(|(method, _)| *method != "get")
        .map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let told: BTreeSet<_> = doings.iter().map(|doing| doing.0.to_owned()).collect();
    assert_eq!(changing, told, "an operation that is not a GET needs a line here");

    for (operation, method, path, body, kind, name) in doings {
        let world = World::with_lead().await;
        let (token, _) = world.token_as("acme", Role::Viewer).await;
        prepare(&world, operation).await;
        let whoever = match operation {
            "logout" => world.login(Scope::Operator).await,
            _ => world.operator.clone(),
        };
        let before: Vec<_> = world.get("/audit?limit=1000").await.ok().as_array().unwrap().clone();
        let shown = world.get(path.trim_end_matches("/consent")).await;
        let body = match body.as_str() {
            Some("DIGEST") => Body::from(json!({ "digest": shown.json()["pending"]["digest"] }).to_string()),
            Some("PACKAGE") => Body::from(package(CRM)),
            Some("YAML") => Body::from("kind: schedule\nname: weekly\ncron: 0 3 * * 1\nworkflow: intake\n"),
            _ if body.is_null() => Body::empty(),
            _ => Body::from(body.to_string()),
        };
        let (path, name) =
            (path.replace("TOKEN", &token.to_string()), name.replace("TOKEN", &token.to_string()));
        let answer = world.send(method, &path, Some(&whoever), body).await;
        if operation == "resume_run" {
            // The one run here is not paused: what changed nothing leaves nothing.
            answer.refused(409, "run-state");
            assert_eq!(world.get("/audit?limit=1000").await.ok(), json!(before));
            continue;
        }
        assert!(answer.status.is_success(), "{operation}: {} {}", answer.status, answer.text);

        let after: Vec<_> = world.get("/audit?limit=1000").await.ok().as_array().unwrap().clone();
        let new: Vec<_> = after.iter().filter(|entry| !before.contains(entry)).collect();
        let entry = new.iter().find(|entry| entry["operation"] == operation && entry["kind"] == kind);
        let entry = entry.unwrap_or_else(|| panic!("{operation} left no entry about a {kind}: {new:?}"));
        assert!(entry["name"].as_str().unwrap_or_default().starts_with(&name), "{operation}: {entry}");
        assert_eq!((&entry["outcome"], &entry["by"]["token"]["role"]), (&json!("done"), &json!("operator")));
        assert_eq!(entry["request"], answer.headers["x-request-id"].to_str().unwrap(), "{operation}");
        assert!(entry["from"].is_string(), "{entry}");
        let in_host =
            ["logout", "publish_package", "rotate_master_key", "rotate_data_keys"].contains(&operation);
        assert_eq!(entry["chain"] == "!", in_host, "{operation}: {entry}");

        let log = json!(after).to_string();
        assert!(!log.contains(CANARY), "{operation} tells a secret: {log}");
        assert!(!log.contains("wharf_"), "{operation} tells a token's text: {log}");
    }
}

/// What the set-up's own changes share with their entries: one commit.
#[tokio::test]
async fn a_change_of_the_set_up_and_its_entry_are_one_commit() {
    let world = World::with_lead().await;
    let version = async |key: &[u8]| world.store.get(key).await.unwrap().unwrap().version;
    let entry = async |what: &Value| {
        let seq = what["seq"].as_u64().unwrap().to_be_bytes();
        let chain = what["chain"].as_str().unwrap();
        version(&[b"!\0audit\0", chain.as_bytes(), b"\0", &seq].concat()).await
    };
    let form = json!({ "name": "other", "package": "example/web-form@0.1.0" });
    world.put("/tenants/acme/connections/other", form).await.ok();
    assert_eq!(version(b"acme\0connection\0other\0").await, entry(&newest(&world).await).await);

    let made = world.post("/tokens", json!({ "tenant": "acme", "role": "viewer" }).to_string()).await.ok();
    let id: host_model::id::TokenId = made["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(
        version(&[&b"!\0token\0"[..], &id.to_bytes()].concat()).await,
        entry(&newest(&world).await).await
    );

    world.put("/tenants/acme", json!({ "name": "acme", "weight": 50 })).await.ok();
    assert_eq!(version(b"!\0tenant\0acme\0").await, entry(&newest(&world).await).await);
}

#[tokio::test]
async fn an_entry_says_how_it_was_and_how_it_is_and_what_changes_nothing_leaves_none() {
    let world = World::with_lead().await;
    let put = |weight: u32| world.put("/tenants/acme", json!({ "name": "acme", "weight": weight }));
    put(50).await.ok();
    put(60).await.ok();
    let entry = newest(&world).await;
    assert_eq!(
        (&entry["before"]["document"]["weight"], &entry["after"]["document"]["weight"]),
        (&json!(50), &json!(60))
    );
    put(60).await.ok();
    world
        .apply(
            "kind: schedule\nname: weekly\ncron: 0 3 * * 1\nworkflow: intake\n",
            "tenant=acme&dry-run=true",
        )
        .await
        .ok();
    world.put("/tenants/acme/schedules/nope", json!({ "name": "nope" })).await.refused(422, "invalid");
    assert_eq!(newest(&world).await, entry);
    world.delete("/tenants/acme/schedules/nightly").await.ok();
    let entry = newest(&world).await;
    assert_eq!((&entry["before"]["document"]["name"], &entry["after"]), (&json!("nightly"), &Value::Null));
}

#[tokio::test]
async fn refusals_and_failed_logins_are_told_once_and_counted() {
    let world = World::with_lead().await;
    let (id, viewer) = world.token_as("acme", Role::Viewer).await;
    for place in 0..50 {
        let path = format!("/tenants/acme/secrets/made-up-{place}");
        world
            .send("PUT", &path, Some(&viewer), json!({ "value": CANARY }).to_string().into())
            .await
            .refused(403, "forbidden");
        world.send("GET", "/whoami", Some("wharf_garbage"), Body::empty()).await.refused(401, "unauthorized");
    }
    world.send("GET", "/keys", Some(&viewer), Body::empty()).await.refused(403, "forbidden");
    let refused = world.get(&format!("/audit?actor={id}")).await.ok();
    let told: Vec<_> = refused
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["operation"], &it["outcome"], &it["chain"]))
        .collect();
    let (refused, acme) = (json!("refused"), json!("acme"));
    assert_eq!(told, [(&json!("show_keys"), &refused, &acme), (&json!("put_secret"), &refused, &acme)]);
    let logins = world.get("/audit?operation=login").await.ok();
    assert_eq!(logins.as_array().unwrap().len(), 1, "{logins}");
    assert_eq!((&logins[0]["by"], &logins[0]["chain"]), (&json!("nobody"), &json!("!")));

    world.control.audit.write_counts(true).await.unwrap();
    let counts = world.get("/audit?operation=login").await.ok();
    assert_eq!(counts[0]["times"], 49);
    let all = world.get("/audit?limit=1000").await;
    assert!(!all.text.contains(CANARY) && !all.text.contains("garbage"), "{}", all.text);
}

#[tokio::test]
async fn an_admin_sees_the_entries_of_its_own_tenant_and_no_others() {
    let world = World::with_lead().await;
    world
        .put("/tenants/globex/schemas/note@1", json!({ "name": "note", "version": 1, "schema": {} }))
        .await
        .ok();
    for path in ["/audit", "/audit/export", "/audit/heads", "/audit/verify"] {
        let own = world.send("GET", path, Some(&world.globex), Body::empty()).await;
        assert!(own.status.is_success() && own.text.contains("globex"), "{path}: {}", own.text);
        assert!(!own.text.contains("acme") && !own.text.contains("\"!\""), "{path}: {}", own.text);
        for other in ["acme", "!", "nobody", "A%00"] {
            let path = format!("{path}?tenant={other}");
            world.send("GET", &path, Some(&world.globex), Body::empty()).await.refused(404, "not-found");
        }
    }
    // Nor through a place in the list that is another's.
    let place = world.get("/audit?tenant=acme&limit=1").await.headers["link"].to_str().unwrap().to_owned();
    let after = place.split("after=").nth(1).unwrap().split('>').next().unwrap();
    let page = world.send("GET", &format!("/audit?after={after}"), Some(&world.globex), Body::empty()).await;
    assert!(!page.text.contains("acme"), "{}", page.text);
}

#[tokio::test]
async fn an_export_is_the_chain_line_by_line_and_can_be_verified_with_sha256_alone() {
    let world = World::with_lead().await;
    for place in 0..450 {
        world.put("/tenants/acme", json!({ "name": "acme", "weight": place + 1 })).await.ok();
    }
    let export = world.get("/audit/export?tenant=acme").await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    let mut prev = format!("sha256:{}", "0".repeat(64));
    for (place, line) in export.text.lines().enumerate() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!((entry["seq"].as_u64(), &entry["prev"]), (Some(place as u64 + 1), &json!(prev)));
        prev = host_model::digest::Digest::of(line.as_bytes()).to_string();
    }
    let head = world.get("/audit/heads?tenant=acme").await.ok()[0].clone();
    assert_eq!(head["digest"], prev);
    let after = head["seq"].as_u64().unwrap() - 3;
    let tail = world.get(&format!("/audit/export?tenant=acme&after={after}")).await.text;
    assert!(tail.lines().count() == 3 && export.text.ends_with(&tail));
    world.get("/audit/export?after=3").await.refused(422, "invalid");
    let all = world.get("/audit/export").await.text;
    assert!(all.contains("\"chain\":\"!\"") && all.contains("\"chain\":\"globex\""));
}

#[tokio::test]
async fn a_tenant_that_changes_too_much_waits_and_neither_its_neighbour_nor_the_operator_does() {
    let world = World::with_lead().await;
    let put = async |token: &str, tenant: &str, place: usize| {
        let body = json!({ "name": "note", "version": 1, "schema": { "title": place.to_string() } });
        world
            .send("PUT", &format!("/tenants/{tenant}/schemas/note@1"), Some(token), body.to_string().into())
            .await
    };
    let mut refused = None;
    for place in 0..3_100 {
        let answer = put(&world.acme, "acme", place).await;
        if !answer.status.is_success() {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("it ends");
    let detail = refused.refused(429, "no-room");
    assert!(detail.contains("changed too much") && refused.headers.contains_key("retry-after"), "{detail}");
    world.send("GET", "/tenants/acme/schemas", Some(&world.acme), Body::empty()).await.ok();
    put(&world.globex, "globex", 0).await.ok();
    put(&world.operator, "acme", 9_999).await.ok();
}

#[tokio::test]
async fn what_was_tampered_with_is_told_with_its_place() {
    let world = World::with_lead().await;
    let sound = world.get("/audit/verify").await.ok();
    assert!(sound.as_array().unwrap().iter().all(|chain| chain["broken"].is_null()), "{sound}");
    let key = [&b"!\0audit\0acme\0"[..], &3_u64.to_be_bytes()].concat();
    let line = world.store.get(&key).await.unwrap().unwrap().value;
    let line = String::from_utf8(line.to_vec()).unwrap();
    assert!(line.contains("\"operator\""), "{line}");
    let line = line.replace("\"operator\"", "\"developer\"");
    world.store.commit(host_store::Commit::default().put(key, line)).await.unwrap();
    let broken = world.get("/audit/verify?tenant=acme").await.ok();
    assert_eq!(broken[0]["broken"]["seq"], 3, "{broken}");
}

#[tokio::test]
async fn a_file_of_a_thousand_new_tenants_is_applied_with_an_entry_for_each() {
    let world = World::new().await;
    let tenants: String = (0..1_000).map(|place| format!("kind: tenant\nname: t{place}\n---\n")).collect();
    world.apply(&tenants, "").await.ok();
    let listed = world.get("/audit?operation=apply&name=t999").await.ok();
    assert_eq!(listed[0]["after"]["document"]["name"], "t999", "{listed}");
}
