//! Who may do what: the page, and every operation of the API's own document as
//! every role, as the same role of another tenant, and as nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use std::sync::Arc;

use axum::body::Body;
use host_control::{Limits, Role, permissions_page, router};
use host_model::id::TokenId;
use serde_json::{Value, json};
use world::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");
const IN_TENANTS: [&str; 4] = ["admin", "developer", "viewer", "service"];

#[test]
fn the_page_says_what_the_code_does() {
    let page = permissions_page();
    if std::env::var_os("WHARF_WRITE").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page,
        "docs/permissions.md differs: WHARF_WRITE=1 cargo test -p host-control --test permissions"
    );
}

/// One operation of the document, with its parameters filled in for acme.
struct Operation {
    method: String,
    path: String,
    /// What the document says of each role.
    roles: Value,
    /// Whether the path of the template names the tenant.
    in_tenant: bool,
}

impl Operation {
    fn role(&self, role: &str) -> &str {
        let said = self.roles[role].as_str();
        said.unwrap_or_else(|| panic!("{} {} does not say who may: {}", self.method, self.path, self.roles))
    }

    /// Nobody in a tenant has the power, so tenants do not matter.
    fn is_hosts(&self) -> bool {
        IN_TENANTS.iter().all(|role| self.role(role) == "no")
    }

    async fn send(&self, world: &World, token: Option<&str>) -> Answer {
        world.send(&self.method, &self.path, token, Body::empty()).await
    }

    #[track_caller]
    fn allowed(&self, answer: &Answer, who: &str) {
        let hidden = answer.status == 404 && answer.json()["code"] == "not-found";
        let refused = matches!(answer.status.as_u16(), 401 | 403 | 429) || hidden;
        assert!(!refused, "{} {} as {who}: {} {}", self.method, self.path, answer.status, answer.text);
    }
}

async fn operations(world: &World, token: TokenId) -> Vec<Operation> {
    let document = world.get("/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut path = template.clone();
            let mut query = String::new();
            for param in operation["parameters"].as_array().into_iter().flatten() {
                let (name, place) = (param["name"].as_str().unwrap(), param["in"].as_str().unwrap());
                match place {
                    "path" => path = path.replace(&format!("{{{name}}}"), &value(name, template, token)),
                    _ if name == "tenant" => query = "?tenant=acme".to_owned(),
                    _ => {}
                }
            }
            assert!(!path.contains('{'), "a parameter of {template} is not declared");
            all.push(Operation {
                method: method.to_uppercase(),
                path: path + &query,
                roles: operation["x-roles"].clone(),
                in_tenant: template.contains("{tenant}"),
            });
        }
    }
    assert!(all.len() > 45, "the document has lost operations: {}", all.len());
    all
}

/// Something of acme's that is there.
fn value(name: &str, template: &str, token: TokenId) -> String {
    let kinds = [
        ("/packages/", "crm"),
        ("/connections/", "crm"),
        ("/workflows/", "intake"),
        ("/schedules/", "nightly"),
        ("/topics/", "leads"),
        ("/schemas/", "note@1"),
        ("/secrets/", "crm-key"),
        ("/runs/", RUN),
    ];
    match name {
        "tenant" => "acme".to_owned(),
        "namespace" => "example".to_owned(),
        "version" => "0.1.0".to_owned(),
        "endpoint" => "create-lead".to_owned(),
        "event" => "approved".to_owned(),
        _ if template.starts_with("/tokens/") => token.to_string(),
        _ => {
            let kind = kinds.iter().find(|(part, _)| template.contains(part));
            kind.expect("a kind of name that is known").1.to_owned()
        }
    }
}

/// A world in which everything that [`value`] names is there; some token of acme's.
async fn ready() -> (World, TokenId) {
    let world = World::with_lead().await;
    world.put("/tenants/acme/secrets/crm-key", json!({ "value": "s" })).await.ok();
    let note = json!({ "name": "note", "version": 1, "schema": { "type": "object" } });
    world.put("/tenants/acme/schemas/note@1", note).await.ok();
    let (token, _) = world.token_as("acme", Role::Viewer).await;
    (world, token)
}

fn role(word: &str, workflow: &str, connection: &str) -> Role {
    match word {
        "admin" => Role::Admin,
        "developer" => Role::Developer,
        "viewer" => Role::Viewer,
        _ => Role::Service(Limits {
            workflows: [workflow.parse().unwrap()].into(),
            connections: [connection.parse().unwrap()].into(),
        }),
    }
}

/// A world with acme's token in this role, which started the one run.
async fn ready_as(word: &str) -> (World, Vec<Operation>, String) {
    let (mut world, token) = ready().await;
    let (own, text) = match word {
        "operator" => (None, world.operator.clone()),
        _ => {
            let (id, text) = world.token_as("acme", role(word, "intake", "crm")).await;
            (Some(id), text)
        }
    };
    world.control.runs = Arc::new(FakeRuns(own));
    world.api = router(world.control.clone());
    world.send("GET", "/whoami", Some(&text), Body::empty()).await.ok(); // writes its first use
    let operations = operations(&world, token).await;
    (world, operations, text)
}

#[tokio::test]
async fn every_operation_answers_every_role_as_the_table_says() {
    for word in ["operator"].into_iter().chain(IN_TENANTS) {
        let (world, all, text) = ready_as(word).await;
        let before = world.stored().await;
        for (place, operation) in all.iter().enumerate() {
            if operation.role(word) == "no" {
                operation.send(&world, Some(&text)).await.refused(403, "forbidden");
            } else if operation.method == "GET" {
                let answer = operation.send(&world, Some(&text)).await;
                operation.allowed(&answer, word);
                assert!(answer.status.is_success(), "{} {}", answer.status, answer.text);
            } else {
                // In a world of its own, for what is allowed is done.
                let (world, all, text) = ready_as(word).await;
                operation.allowed(&all[place].send(&world, Some(&text)).await, word);
            }
        }
        assert_eq!(world.stored().await, before, "what was refused to {word} changed something");
    }
}

#[tokio::test]
async fn a_service_token_is_for_what_it_names_and_for_its_own_runs() {
    let (world, token) = ready().await;
    let (_, other) = world.token_as("acme", role("service", "other", "web-form")).await;
    for operation in operations(&world, token).await {
        if operation.role("service") != "own" {
            continue;
        }
        let answer = operation.send(&world, Some(&other)).await;
        match operation.path.as_str() {
            "/tenants/acme/runs" => assert_eq!(answer.ok(), json!([]), "none of these is its own"),
            path if path.contains("/runs/") => drop(answer.refused(404, "not-found")),
            _ => {
                let detail = answer.refused(403, "forbidden");
                assert_eq!(detail, "this token is for workflow other and connection web-form only");
                let nowhere = operation.path.replace("/crm/", "/nowhere/");
                let absent = world.send(&operation.method, &nowhere, Some(&other), Body::empty()).await;
                assert_eq!(absent.text, answer.text, "what is there and what is not look alike");
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_same_role_gets_nothing_from_any_operation() {
    let (world, token) = ready().await;
    let mut others = Vec::new();
    for word in IN_TENANTS {
        let (_, text) = world.token_as("globex", role(word, "intake", "crm")).await;
        world.send("GET", "/whoami", Some(&text), Body::empty()).await.ok(); // writes its first use
        others.push((word, text));
    }
    let before = world.stored().await;
    let absent = world.get("/tenants/acme/connections/not-there").await;
    for operation in operations(&world, token).await {
        for (word, text) in &others {
            let answer = operation.send(&world, Some(text)).await;
            let of_acme = operation.path.contains("acme") || operation.path.contains(&token.to_string());
            if operation.is_hosts() || operation.role(word) == "no" && !operation.in_tenant {
                answer.refused(403, "forbidden");
            } else if of_acme {
                answer.refused(404, "not-found");
                let (method, path) = (&operation.method, &operation.path);
                assert_eq!(answer.text, absent.text, "{method} {path} tells {word} that acme has something");
            } else {
                operation.allowed(&answer, word);
                assert!(!answer.text.contains("acme"), "{}", answer.text);
            }
        }
    }
    assert_eq!(world.stored().await, before);
}

#[tokio::test]
async fn nobody_may_call_any_operation() {
    let (world, token) = ready().await;
    let deleted = world.token_as("acme", Role::Admin).await;
    world.control.tokens.delete(deleted.0, &host_audit::Act::of_host("test")).await.unwrap();
    let before = world.stored().await;
    for operation in operations(&world, token).await {
        for text in [None, Some("garbage"), Some("wharf_"), Some(deleted.1.as_str())] {
            let answer = operation.send(&world, text).await;
            answer.refused(401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(world.stored().await, before);
}
