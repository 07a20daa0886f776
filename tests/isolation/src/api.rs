//! The API: with one tenant's token another tenant looks absent.
//!
//! That every operation does so is shown in-process in `host/control`; here a
//! few of each kind go through the real binary.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Answer, Connection, Host, Tenant};

use crate::{Twins, run};

fn set() -> String {
    format!(
        "{}---\nkind: workflow\nname: work\npackage: probe/workflow-log@0.1.0\nroles: {{ target: echo, other: echo }}\n\
         ---\nkind: schedule\nname: nightly\ncron: '0 3 * * *'\nworkflow: work\npaused: true\n",
        Connection::probe("echo").yaml()
    )
}

async fn with_token(host: &Host, tenant: &Tenant<'_>, method: &Method, path: &str, body: &str) -> Answer {
    host.ask(host.request(method.clone(), path).bearer_auth(&tenant.token).body(body.to_owned())).await
}

#[tokio::test]
async fn another_tenants_things_look_like_those_of_a_tenant_that_is_not_there() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["echo", "workflow-log"], &set()).await;
    twins.two.secret("key", "of-two").await;
    let id = run(&host, &twins.two, "work", None, "1").await;
    let (get, put, post, delete) = (Method::GET, Method::PUT, Method::POST, Method::DELETE);
    let connection = json!({ "name": "echo", "package": "probe/echo@0.1.0" }).to_string();
    let cases: Vec<(&Method, String, &str)> = vec![
        (&get, String::new(), ""),
        (&get, "/connections".into(), ""),
        (&get, "/connections/echo".into(), ""),
        (&put, "/connections/echo".into(), &connection),
        (&delete, "/connections/echo".into(), ""),
        (&post, "/connections/echo/call/go".into(), "1"),
        (&post, "/connections/echo/check".into(), ""),
        (&get, "/workflows/work".into(), ""),
        (&delete, "/workflows/work".into(), ""),
        (&get, "/schedules".into(), ""),
        (&delete, "/schedules/nightly".into(), ""),
        (&get, "/runs".into(), ""),
        (&get, format!("/runs/{id}"), ""),
        (&get, "/secrets".into(), ""),
        (&put, "/secrets/key".into(), "{\"value\":\"of-one\"}"),
        (&delete, "/secrets/key".into(), ""),
    ];
    for (method, path, body) in cases {
        let there = with_token(&host, &twins.one, method, &format!("/api/v1/tenants/two{path}"), body).await;
        let nowhere =
            with_token(&host, &twins.one, method, &format!("/api/v1/tenants/nobody{path}"), body).await;
        assert_eq!((there.status, there.code().as_str()), (404, "not-found"), "{method} {path}: {there:?}");
        assert_eq!((there.status, &there.text), (nowhere.status, &nowhere.text), "{method} {path}");
    }
    let own = twins.two.api(Method::GET, "/connections/echo", "").await.expect(200);
    assert_eq!(own.json()["name"], "echo", "and nothing happened to them");
    assert_eq!(twins.two.api(Method::GET, "/secrets", "").await.json(), json!(["key"]));
}

#[tokio::test]
async fn another_tenants_workflow_cannot_be_started_or_applied_over() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["echo", "workflow-log"], &set()).await;
    let start = |tenant: &'static str| format!("/run/{tenant}/work");
    let there = with_token(&host, &twins.one, &Method::POST, &start("two"), "1").await.expect(404);
    let nowhere = with_token(&host, &twins.one, &Method::POST, &start("nobody"), "1").await.expect(404);
    assert_eq!(there.text, nowhere.text);
    let bare = host.ask(host.request(Method::POST, &start("two")).body("1")).await.expect(401);
    assert_eq!(bare.code(), "unauthorized");
    let apply = "/api/v1/apply?tenant=two&file=x.yaml";
    with_token(&host, &twins.one, &Method::POST, apply, &Connection::probe("echo").yaml()).await.expect(404);
    assert_eq!(twins.two.api(Method::GET, "/runs", "").await.json(), json!([]));
}

#[tokio::test]
async fn lists_show_a_tenant_its_own_and_the_operators_things_are_closed_to_it() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["echo", "workflow-log"], "").await;
    twins.one.apply(&set()).await;
    twins.one.secret("key-of-one", "v").await;
    for kind in ["connections", "workflows", "schedules", "secrets", "runs"] {
        let listed = twins.two.api(Method::GET, &format!("/{kind}"), "").await.expect(200);
        assert_eq!(listed.json(), json!([]), "{kind}");
    }
    for (method, path) in [
        (Method::GET, "/tenants"),
        (Method::PUT, "/tenants/three"),
        (Method::DELETE, "/tenants/one"),
        (Method::POST, "/packages"),
    ] {
        let answer = with_token(&host, &twins.one, &method, &format!("/api/v1{path}"), "{}").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "forbidden"),
            "{method} {path}: {answer:?}"
        );
    }
    let tokens = with_token(&host, &twins.one, &Method::GET, "/api/v1/tokens", "").await.expect(200).json();
    assert!(tokens.as_array().unwrap().iter().all(|token| token["tenant"] == "one"), "{tokens}");
    let me = with_token(&host, &twins.one, &Method::GET, "/api/v1/whoami", "").await.expect(200);
    assert!(me.text.contains("\"one\"") && !me.text.contains("two"), "{me:?}");
}

#[tokio::test]
async fn a_workflow_is_started_by_those_whose_role_may_and_a_program_sees_its_own_runs() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["echo", "workflow-log"], &set()).await;
    let theirs = run(&host, &twins.one, "work", None, "1").await;
    let limits = |workflow: &str| json!({ "workflows": [workflow], "connections": [] });
    let made = [
        ("viewer", json!(null), 403),
        ("developer", json!(null), 200),
        ("service", limits("other"), 403),
        ("service", limits("work"), 200),
    ];
    for (role, limits, status) in made {
        let wish = json!({ "tenant": "one", "role": role, "limits": limits }).to_string();
        let token = with_token(&host, &twins.one, &Method::POST, "/api/v1/tokens", &wish).await.expect(201);
        let token = token.json()["token"].as_str().unwrap().to_owned();
        let as_role = host.tenant_with("one", &token);
        let started = with_token(&host, &as_role, &Method::POST, "/run/one/work", "1").await.expect(status);
        with_token(&host, &as_role, &Method::POST, "/run/two/work", "1").await.expect(404);
        if (role, status) == ("service", 200) {
            let own = started.json()["run"].clone();
            let listed = as_role.api(Method::GET, "/runs", "").await.expect(200).json();
            let ids: Vec<_> = listed.as_array().unwrap().iter().map(|run| &run["id"]).collect();
            assert_eq!(ids, [&own]);
            as_role.api(Method::GET, &format!("/runs/{}", own.as_str().unwrap()), "").await.expect(200);
            as_role.api(Method::GET, &format!("/runs/{theirs}"), "").await.expect(404);
        }
    }
}

#[tokio::test]
async fn a_token_ends_with_its_tenant_and_opens_no_later_one() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &[], "").await;
    host.operate(Method::DELETE, "/tenants/one", "").await.expect(200);
    let gone = with_token(&host, &twins.one, &Method::GET, "/api/v1/whoami", "").await.expect(401);
    assert_eq!(gone.code(), "unauthorized");
    let again = host.operate(Method::PUT, "/tenants/one", "{\"name\":\"one\"}").await;
    assert!((400..500).contains(&again.status), "an id that was deleted is never given again: {again:?}");
    twins.two.api(Method::GET, "", "").await.expect(200);
}

#[tokio::test]
async fn a_package_is_everybodys_and_a_setup_of_it_is_nobody_elses() {
    let host = Host::start().await;
    let twins = Twins::set_up(&host, &["echo"], "").await;
    twins.one.apply(&Connection::new("mine", "probe/echo@0.1.0").yaml()).await;
    twins.two.apply(&Connection::new("mine", "probe/echo@0.1.0").bound("fuel", 1).yaml()).await;
    let shown = |answer: Answer| answer.expect(200).json();
    let (one, two): (Value, Value) = (
        shown(twins.one.api(Method::GET, "/connections/mine", "").await),
        shown(twins.two.api(Method::GET, "/connections/mine", "").await),
    );
    assert_eq!((&one["bounds"]["fuel"], &two["bounds"]["fuel"]), (&Value::Null, &json!(1)));
    assert_eq!(crate::go(&twins.one, "mine", json!(1)).await, json!(1));
    assert_eq!(twins.two.call("mine", "go", json!(1)).await.expect(502).code(), "bound-passed");
}
