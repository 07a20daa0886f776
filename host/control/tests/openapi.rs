//! What the document says of a connection, against what is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use serde_json::{Value, json};
use world::*;

/// `CN=Partner CA`, valid for a hundred years; nobody has its key.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBgjCCASegAwIBAgIUaf2ZVjvK9D5F9K2TwBZkIH2UIPMwCgYIKoZIzj0EAwIw\n\
FTETMBEGA1UEAwwKUGFydG5lciBDQTAgFw0yNjExMjEyMjUxMzZaGA8yMTI2MTAy\n\
ODIyNTEzNlowFTETMBEGA1UEAwwKUGFydG5lciBDQTBZMBMGByqGSM49AgEGCCqG\n\
SM49AwEHA0IABOmLiTa0H6amorC1PlLAjtDa6mx9vt0WxjGzrg1JaS/rNhzLGBb4\n\
Y/4C1CegyZ0zTCXdSjMWSVUEem0xyVaASQ2jUzBRMB0GA1UdDgQWBBQ64OvpuK6U\n\
rE5zdqFcKuDrZnNc/TAfBgNVHSMEGDAWgBQ64OvpuK6UrE5zdqFcKuDrZnNc/TAP\n\
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDgmUXF/32MxSrPxJvw\n\
O3pN8OKxckXz7pDNCFW19vMSeAIhALNHBswMX9DC2Hhd5qSrXY8gxxZE3WkWU74W\n\
c8leo+Lx\n\
-----END CERTIFICATE-----\n";

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
        (json!({ "mtls": { "authorities": [AUTHORITY] } }), true),
        (
            json!({ "mtls": {
                "authorities": [AUTHORITY], "subject": "CN=crm", "names": ["dns:crm.example"],
                "keys": [format!("sha256:{}", "0".repeat(64))],
            } }),
            true,
        ),
        (json!({ "mtls": { "authorities": [] } }), false),
        (json!({ "mtls": { "authorities": ["partner-ca"] } }), false),
        (json!({ "mtls": { "authorities": [AUTHORITY], "names": ["crm.example"] } }), false),
        (json!({ "mtls": { "authorities": [AUTHORITY], "keys": ["c0ffee"] } }), false),
        (json!({ "mtls": { "authorities": [AUTHORITY], "secrets": ["a"] } }), false),
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

/// Grants, and whether each is one.
fn grants() -> Vec<(Value, bool)> {
    let narrow = |methods: Value, paths: Value| json!({ "http": [{ "origin": "https://a.example", "methods": methods, "paths": paths }] });
    vec![
        (json!({}), true),
        (json!({ "http": ["https://a.example"], "kv": true }), true),
        (json!({ "http": [{ "origin": "https://*.a.example" }] }), true),
        (json!({ "http": [7] }), false),
        (json!({ "http": [{ "methods": ["GET"] }] }), false),
        (json!({ "http": [{ "origin": "https://a.example", "path": "/v1" }] }), false),
        (narrow(json!(["GET", "M-SEARCH"]), json!(["/", "/v1/x"])), true),
        (narrow(json!(["get"]), json!([])), false),
        (narrow(json!([]), json!(["v1"])), false),
        (narrow(json!(vec!["GET"; 33]), json!([])), false),
        (json!({ "smtp": ["smtp://mail.example", "smtps://*.mail.example:465"] }), true),
        (json!({ "smtp": ["https://mail.example"] }), false),
        (json!({ "https": [] }), false),
    ]
}

/// How requests behave, and whether each can be.
fn egresses() -> Vec<(Value, bool)> {
    let edge = |key: &str, least: u64, most: u64| {
        [(least, true), (most, true), (most + 1, false)].map(|(value, right)| (json!({ key: value }), right))
    };
    let within = |section: &str, cases: Vec<(Value, bool)>| {
        cases.into_iter().map(|(value, right)| (json!({ section: value }), right)).collect::<Vec<_>>()
    };
    let mut all = vec![
        (json!({}), true),
        (
            json!({ "coalesce": true, "retry": {}, "breaker": {}, "cache": {}, "rate": {}, "timeouts": {} }),
            true,
        ),
        (json!({ "request-bytes": 1, "answer-bytes": 0 }), true),
        (json!({ "redirect": 1 }), false),
        (json!({ "retry": { "tries": 1 } }), false),
        (json!({ "retry": 3 }), false),
        (json!({ "cache": { "size": 1 } }), false),
        (json!({ "concurrency": 0 }), false),
    ];
    all.extend(edge("redirects", 0, 10));
    all.extend(edge("concurrency", 1, 32));
    for key in ["connect-ms", "first-byte-ms", "idle-ms", "total-ms"] {
        all.extend(within("timeouts", edge(key, 1, 3_600_000).into()));
    }
    all.extend(within("rate", edge("requests", 1, 1_000_000).into()));
    all.extend(within("rate", edge("per-s", 1, 86_400).into()));
    all.extend(within("rate", edge("burst", 1, 1_000_000).into()));
    all.extend(within("retry", edge("tries", 2, 5).into()));
    all.extend(within("retry", edge("longest-pause-ms", 200, 60_000).into()));
    all.extend(within("breaker", edge("failures", 1, 1_000).into()));
    all.extend(within("breaker", edge("open-s", 1, 3_600).into()));
    all.extend(within("breaker", edge("probes", 1, 10).into()));
    all.extend(within("cache", edge("bytes", 1, 16 << 20).into()));
    all.extend(within("cache", edge("entries", 1, 10_000).into()));
    all.extend(within("cache", edge("stale-if-error-s", 0, 86_400).into()));
    all
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
    let verified = ways().into_iter().map(|(verify, right)| ("verify", verify, right));
    let granted = grants().into_iter().map(|(grants, right)| ("grants", grants, right));
    let behaving = egresses().into_iter().map(|(egress, right)| ("egress", egress, right));
    for (key, value, right) in verified.chain(granted).chain(behaving) {
        let mut body = json!({ "name": "other", "package": "example/web-form@0.1.0" });
        body[key] = value.clone();
        assert_eq!(schema.is_valid(&body), right, "{value}");
        let status = world.put("/tenants/acme/connections/other", body).await.status;
        assert_eq!(status.is_success(), right, "{value}: {status}");
        if right {
            let shown = world.get("/tenants/acme/connections/other").await.ok();
            let problems: Vec<_> = schema.iter_errors(&shown).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{shown}: {problems:?}");
        }
    }
}
