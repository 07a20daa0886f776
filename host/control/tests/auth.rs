//! Who may do what. The list of operations is the document's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use axum::body::Body;
use serde_json::{Value, json};
use world::*;

/// One operation of the document, with its parameters filled in for acme.
struct Operation {
    method: String,
    path: String,
    /// `any`, `operator` or `tenant`.
    takes: String,
}

async fn operations(world: &World) -> Vec<Operation> {
    let document = world.get("/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let takes = operation["security"][0]["token"][0].as_str().expect("it says whose token it takes");
            let mut filled = path.clone();
            let mut query = String::new();
            for param in operation["parameters"].as_array().into_iter().flatten() {
                let (name, place) = (param["name"].as_str().unwrap(), param["in"].as_str().unwrap());
                match place {
                    "path" => filled = filled.replace(&format!("{{{name}}}"), value(name, path)),
                    _ if name == "tenant" => query = "?tenant=acme".to_owned(),
                    _ => {}
                }
            }
            assert!(!filled.contains('{'), "a parameter of {path} is not declared");
            all.push(Operation {
                method: method.to_uppercase(),
                path: filled + &query,
                takes: takes.to_owned(),
            });
        }
    }
    assert!(all.len() > 25, "the document has lost operations");
    all
}

/// Something that is there.
fn value(name: &str, path: &str) -> &'static str {
    let kinds = [
        ("/packages/", "crm"),
        ("/connections/", "crm"),
        ("/workflows/", "intake"),
        ("/schedules/", "nightly"),
        ("/topics/", "leads"),
        ("/schemas/", "note@1"),
        ("/secrets/", "crm-key"),
        ("/runs/", RUN),
        ("/tokens/", "tok_00000000000000000000000000"),
    ];
    match name {
        "tenant" => "acme",
        "namespace" => "example",
        "version" => "0.1.0",
        "endpoint" => "create-lead",
        "event" => "approved",
        _ => kinds.iter().find(|(part, _)| path.contains(part)).expect("a kind of name that is known").1,
    }
}

async fn ready() -> World {
    let world = World::with_lead().await;
    world.put("/tenants/acme/secrets/crm-key", json!({ "value": "s" })).await.ok();
    let note = json!({ "name": "note", "version": 1, "schema": { "type": "object" } });
    world.put("/tenants/acme/schemas/note@1", note).await.ok();
    world
}

#[tokio::test]
async fn nobody_may_call_any_operation() {
    let world = ready().await;
    let before = world.stored().await;
    let deleted = world.control.tokens.create(host_control::Scope::Operator, String::new()).await.unwrap();
    world.control.tokens.delete(deleted.0.id).await.unwrap();
    for operation in operations(&world).await {
        for token in [None, Some("garbage"), Some("wharf_"), Some(deleted.1.reveal_once())] {
            let answer = world.send(&operation.method, &operation.path, token, Body::empty()).await;
            answer.refused(401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn another_tenants_token_gets_nothing_from_any_operation() {
    let world = ready().await;
    let before = world.stored().await;
    let absent = world.get("/tenants/acme/connections/not-there").await;
    for Operation { method, path, takes } in operations(&world).await {
        let answer = world.send(&method, &path, Some(&world.globex), Body::empty()).await;
        match takes.as_str() {
            "operator" => drop(answer.refused(403, "forbidden")),
            "tenant" => {
                answer.refused(404, "not-found");
                assert_eq!(answer.text, absent.text, "{method} {path} tells that acme has something");
            }
            "any" => assert!(answer.status.is_success(), "{method} {path}: {}", answer.text),
            other => panic!("{method} {path} takes `{other}`"),
        }
    }
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn what_is_refused_to_others_is_there_for_those_who_may() {
    let world = ready().await;
    for Operation { method, path, takes } in operations(&world).await {
        if method != "GET" || path.starts_with("/tokens/") {
            continue;
        }
        world.get(&path).await.ok();
        let own = world.send("GET", &path, Some(&world.acme), Body::empty()).await;
        match takes.as_str() {
            "operator" => drop(own.refused(403, "forbidden")),
            _ => drop(own.ok()),
        }
    }
    let applied = world.send("POST", "/apply", Some(&world.acme), LEAD.into()).await.ok();
    assert_eq!(applied[0]["action"], "unchanged", "a tenant's token means its own tenant");
}

#[tokio::test]
async fn a_path_that_is_no_operation_is_absent_and_told_to_nobody() {
    let world = World::new().await;
    for (method, path) in [
        ("GET", "/nothing"),
        ("PATCH", "/tenants/acme"),
        ("GET", "/tenants/%00"),
        ("GET", "/tenants/ACME/runs"),
    ] {
        world.send(method, path, Some(&world.operator), Body::empty()).await.refused(404, "not-found");
        world.send(method, path, None, Body::empty()).await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_token_is_made_shown_once_listed_and_revoked_at_once() {
    let world = World::new().await;
    let made = world.post("/tokens", json!({ "tenant": "acme", "note": "ci" }).to_string()).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());

    let me = world.send("GET", "/whoami", Some(text), Body::empty()).await.ok();
    assert_eq!((me["scope"].as_str(), me["tenant"].as_str()), (Some("tenant"), Some("acme")));
    let listed = world.get("/tokens").await;
    assert!(listed.text.contains(id) && !listed.text.contains(text), "{}", listed.text);

    world.delete(&format!("/tokens/{id}")).await.ok();
    world.send("GET", "/whoami", Some(text), Body::empty()).await.refused(401, "unauthorized");
    world.delete(&format!("/tokens/{id}")).await.refused(404, "not-found");
}

#[tokio::test]
async fn a_token_wish_that_does_not_fit_is_refused() {
    let world = World::new().await;
    for (wish, status, code, want) in [
        (json!({ "tenant": "nobody" }), 422, "invalid", "`nobody` does not exist"),
        (json!({ "tenat": "acme" }), 422, "invalid", "did you mean `tenant`?"),
        (json!({ "note": "for everything?" }), 422, "invalid", "missing field `tenant`"),
        (json!({ "note": "a\nb", "tenant": null }), 422, "invalid", "one line"),
    ] {
        let detail = world.post("/tokens", wish.to_string()).await.refused(status, code);
        assert!(detail.contains(want), "{detail}");
    }
    world.post("/tokens", "{").await.refused(400, "bad-request");
}

#[tokio::test]
async fn a_tenants_tokens_end_with_it_and_its_id_is_not_given_again() {
    let world = World::new().await;
    world.delete("/tenants/globex").await.ok();
    world.send("GET", "/whoami", Some(&world.globex), Body::empty()).await.refused(401, "unauthorized");
    let detail = world.put("/tenants/globex", json!({ "name": "globex" })).await.refused(422, "invalid");
    assert!(detail.contains("never given again"), "{detail}");
    let tokens: Value = world.get("/tokens").await.ok();
    assert!(!tokens.to_string().contains("globex"), "{tokens}");
}
