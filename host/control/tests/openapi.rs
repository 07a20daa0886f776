//! What the document says of a connection, against what is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use serde_json::{Value, json};
use world::*;

/// Ways to verify webhooks, and whether each is one.
fn ways() -> Vec<(Value, bool)> {
    let hmac = json!({ "secrets": ["a"], "header": "x-sign" });
    let hmac = |more: Value| {
        let mut spec = hmac.clone();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "hmac": spec })
    };
    vec![
        (json!("none"), true),
        (json!("mtls"), false),
        (json!("any"), false),
        (json!({ "standard-webhooks": { "secrets": ["a"], "headers": "svix", "tolerance-s": 60 } }), true),
        (json!({ "standard-webhooks": { "secrets": ["a"], "headers": "other" } }), false),
        (json!({ "github": { "secrets": ["a", "b", "c", "d"] } }), true),
        (json!({ "github": { "secrets": ["a", "b", "c", "d", "e"] } }), false),
        (json!({ "github": { "secrets": [] } }), false),
        (json!({ "github": { "secrets": ["a"], "tolerance-s": 60 } }), false),
        (json!({ "github": {} }), false),
        (json!({ "stripe": { "secrets": ["a"], "tolerance-s": 3600 } }), true),
        (json!({ "stripe": { "secrets": ["a"], "tolerance-s": 3601 } }), false),
        (json!({ "slack": { "secrets": ["a"] } }), true),
        (json!({ "slack": { "secret": "a" } }), false),
        (hmac(json!({})), true),
        (
            hmac(json!({
                "secret-encoding": "hex", "algorithm": "sha1", "prefix": "v1=", "encoding": "hex-upper",
                "signed": "{id}.{timestamp}.{body}", "event-id": { "header": "x-id" },
                "timestamp": { "header": "x-time", "format": "unix-ms", "tolerance-s": 1 },
            })),
            true,
        ),
        (hmac(json!({ "event-id": { "json": "id" }, "encoding": "base64url" })), true),
        (hmac(json!({ "event-id": { "json": "id", "header": "x-id" } })), false),
        (hmac(json!({ "algorithm": "md5" })), false),
        (hmac(json!({ "signed": "{timestamp}" })), false),
        (json!({ "hmac": { "secrets": ["a"] } }), false),
        (json!({ "bearer": { "secrets": ["a"], "header": "x-gitlab-token" } }), true),
        (json!({ "bearer": { "secrets": ["a"], "user": "a" } }), false),
        (json!({ "basic": { "user": "crm", "secrets": ["a"] } }), true),
        (json!({ "basic": { "user": "c:m", "secrets": ["a"] } }), false),
        (json!({ "basic": { "secrets": ["a"] } }), false),
        (json!({ "ip-ranges": ["10.0.0.0/8"] }), true),
        (json!({ "ip-ranges": [] }), false),
        (json!({ "all": [{ "slack": { "secrets": ["a"] } }, { "ip-ranges": ["::1"] }] }), true),
        (json!({ "all": ["none"] }), false),
        (json!({ "all": [] }), false),
        (json!({ "github": { "secrets": ["a"] }, "ip-ranges": ["10.0.0.0/8"] }), false),
    ]
}

#[tokio::test]
async fn what_the_document_says_of_a_connection_is_what_is_taken() {
    let world = World::with_lead().await;
    let document = world.get("/openapi.json").await.ok();
    let put = &document["paths"]["/tenants/{tenant}/connections/{name}"]["put"];
    let named = &put["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(named, "#/components/schemas/Connection", "{put}");
    let schema = json!({ "$ref": named, "components": document["components"] });
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    for (verify, right) in ways() {
        let body = json!({ "name": "other", "package": "example/web-form@0.1.0", "verify": verify });
        assert_eq!(schema.is_valid(&body), right, "{verify}");
        let status = world.put("/tenants/acme/connections/other", body).await.status;
        assert_eq!(status.is_success(), right, "{verify}: {status}");
        if right {
            let shown = world.get("/tenants/acme/connections/other").await.ok();
            let problems: Vec<_> = schema.iter_errors(&shown).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{shown}: {problems:?}");
        }
    }
}
