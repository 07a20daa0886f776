//! What the contract promises, from a guest's view: every function of
//! `wit/deps/wharf-*` against the real host, each grant beside its denied twin.
//!
//! [`covered`] reads from the WIT what there is to cover and from
//! `guests/probes` which guests there are: a new one without a case fails.
#![cfg(test)]

mod composing;
mod connection;
mod covered;
mod endpoints;
mod http;
mod kv;
mod log;
mod panic;
mod proxy;
mod smtp;
mod time;
mod waiting;
mod workflow;

use serde_json::Value;
use tests_harness::{Answer, Connection, Host, Tenant, probe};

/// A tenant with these probes published and these connections applied.
async fn set_up<'h>(host: &'h Host, probes: &[&str], connections: &[Connection]) -> Tenant<'h> {
    for name in probes {
        host.publish(probe(name)).await.expect(201);
    }
    let acme = host.tenant("acme").await;
    let documents: Vec<_> = connections.iter().map(Connection::yaml).collect();
    acme.apply(&documents.join("---\n")).await;
    acme
}

/// What `go` of a connection gives.
async fn go(acme: &Tenant<'_>, connection: &str, input: Value) -> Value {
    acme.call(connection, "go", input).await.expect(200).json()
}

/// The same with how it ended, what it used and what it logged.
async fn report(acme: &Tenant<'_>, connection: &str, input: Value) -> Value {
    let path = format!("/connections/{connection}/call/go?report=true");
    acme.api(reqwest::Method::POST, &path, input.to_string()).await.expect(200).json()
}

/// Applies a workflow of the probe of this name; `target` and `other` play its roles.
async fn workflow(acme: &Tenant<'_>, probe: &str, target: &str, other: &str) {
    acme.apply(&format!(
        "kind: workflow\nname: {probe}\npackage: probe/{probe}@0.1.0\nroles: {{ target: {target}, other: {other} }}\n"
    ))
    .await;
}

/// Starts a run by hand and waits for it.
async fn run(host: &Host, acme: &Tenant<'_>, workflow: &str, input: Value) -> Answer {
    let path = format!("/run/{}/{workflow}", acme.name);
    let request =
        host.request(reqwest::Method::POST, &path).bearer_auth(&acme.token).header("prefer", "wait=30");
    host.ask(request.body(input.to_string())).await
}

/// Starts a run by hand and does not wait for it; gives its id.
async fn started(host: &Host, acme: &Tenant<'_>, workflow: &str, input: Value) -> String {
    let path = format!("/run/{}/{workflow}", acme.name);
    let request = host.request(reqwest::Method::POST, &path).bearer_auth(&acme.token);
    let answer = host.ask(request.header("prefer", "respond-async").body(input.to_string())).await;
    answer.expect(202).json()["run"].as_str().unwrap().to_owned()
}

/// What a run that has ended gave.
async fn gave(acme: &Tenant<'_>, run: &str) -> Value {
    let shown = acme.ended(run).await;
    let outcome = &shown["run"]["outcome"];
    assert_eq!(outcome["outcome"], "answered", "{shown}");
    serde_json::from_str(outcome["value"].as_str().unwrap()).unwrap()
}

/// The result of a run by hand.
async fn result(host: &Host, acme: &Tenant<'_>, workflow: &str, input: Value) -> Value {
    run(host, acme, workflow, input).await.expect(200).json()["result"].clone()
}
