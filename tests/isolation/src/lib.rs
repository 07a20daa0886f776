//! Two tenants, same names, same keys: neither sees the other.
//!
//! Every story has two tenants who set the same things up under the same
//! names; only the values differ. [`covered`] reads from the WIT which
//! interfaces there are: a new one without a case fails.
#![cfg(test)]

mod api;
mod covered;
mod guests;
mod mail;
mod places;
mod sockets;
mod starts;

use reqwest::Method;
use serde_json::Value;
use tests_harness::{Host, Tenant, probe};

/// The two.
struct Twins<'h> {
    one: Tenant<'h>,
    two: Tenant<'h>,
}

impl<'h> Twins<'h> {
    /// Publishes the probes and applies the same text for both tenants.
    async fn set_up(host: &'h Host, probes: &[&str], yaml: &str) -> Self {
        for name in probes {
            host.publish(probe(name)).await.expect(201);
        }
        let twins = Self { one: host.tenant("one").await, two: host.tenant("two").await };
        for tenant in [&twins.one, &twins.two] {
            if !yaml.is_empty() {
                tenant.apply(yaml).await;
            }
        }
        twins
    }
}

/// What `go` of a connection gives.
async fn go(tenant: &Tenant<'_>, connection: &str, input: Value) -> Value {
    tenant.call(connection, "go", input).await.expect(200).json()
}

/// Starts a run by hand, waits for it, gives its id.
async fn run(host: &Host, tenant: &Tenant<'_>, workflow: &str, key: Option<&str>, input: &str) -> String {
    let path = format!("/run/{}/{workflow}", tenant.name);
    let mut request =
        host.request(Method::POST, &path).bearer_auth(&tenant.token).header("prefer", "wait=30");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = host.ask(request.body(input.to_owned())).await.expect(200);
    answer.json()["run"].as_str().unwrap().to_owned()
}
