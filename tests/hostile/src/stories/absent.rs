//! One answer for what is not there and for what is not yours, byte for byte.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::scene::Scene;

/// Sends each request; all must get this status and the same bytes, headers included
/// (in any order: it differs with the path's shape, which whoever knocks knows).
async fn all_alike(scene: &Scene, status: u16, requests: Vec<(&str, RequestBuilder)>) {
    let mut first: Option<(String, String)> = None;
    for (what, request) in requests {
        let mut answer = scene.host.ask(request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        answer.headers.remove("date");
        answer.headers.remove("x-request-id"); // chance
        let mut headers: Vec<_> = answer.headers.iter().map(|header| format!("{header:?}")).collect();
        headers.sort();
        let seen = (headers.join("\n"), answer.text);
        let first = first.get_or_insert_with(|| seen.clone());
        assert_eq!(*first, seen, "{what}");
    }
}

async fn scene() -> Scene {
    let scene = Scene::with(&["echo"]).await;
    scene.publish("workflow-random").await;
    let workflow = "kind: workflow\nname: wf\npackage: probe/workflow-random@0.1.0\nroles: { target: echo, other: echo }\n";
    scene.bystander().apply(workflow).await;
    scene
}

#[tokio::test]
async fn whoever_knocks_at_a_hook_learns_nothing_of_what_exists() {
    let scene = scene().await;
    let hook = |path| scene.host.request(Method::POST, path).body("{}");
    scene.host.ask(hook("/hooks/bystander/echo/hook")).await.expect(200);
    all_alike(
        &scene,
        404,
        vec![
            ("no such tenant", hook("/hooks/nobody/echo/hook")),
            ("no such connection", hook("/hooks/bystander/crm/hook")),
            ("no such endpoint", hook("/hooks/bystander/echo/side-door")),
            ("no connection", hook("/hooks/bystander")),
            ("an outbound endpoint", hook("/hooks/bystander/echo/go")),
            ("a workflow", hook("/hooks/bystander/wf/hook")),
            ("no name at all", hook("/hooks/Bystander/%2e%2e/hook")),
            ("a name in another spelling", hook("/hooks/%62ystander/echo/hook")),
            ("nothing of ours", hook("/nowhere")),
        ],
    )
    .await;
}

#[tokio::test]
async fn another_tenants_token_cannot_tell_a_workflow_from_none() {
    let scene = scene().await;
    let (mallory, bystander) = (scene.mallory().token, scene.bystander().token);
    let run = |path| scene.host.request(Method::POST, path);
    let ended = run("/run/bystander/wf").bearer_auth(&bystander).header("prefer", "wait=20");
    scene.host.ask(ended).await.expect(200);
    all_alike(
        &scene,
        404,
        vec![
            ("somebody else's", run("/run/bystander/wf").bearer_auth(&mallory)),
            ("not there", run("/run/bystander/none").bearer_auth(&mallory)),
            ("no such tenant", run("/run/nobody/wf").bearer_auth(&mallory)),
            ("not one's own either", run("/run/mallory/wf").bearer_auth(&mallory)),
            ("a connection", run("/run/mallory/echo").bearer_auth(&mallory)),
            ("not there, asked by its tenant", run("/run/bystander/none").bearer_auth(&bystander)),
        ],
    )
    .await;
    all_alike(
        &scene,
        401,
        vec![
            ("there, no token", run("/run/bystander/wf")),
            ("not there, no token", run("/run/nobody/none")),
            ("there, a made-up token", run("/run/bystander/wf").bearer_auth("wharf_made_up")),
            ("not there, a made-up token", run("/run/nobody/none").bearer_auth("wharf_made_up")),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_api_says_the_same_of_another_tenants_things_and_of_none() {
    let scene = scene().await;
    let (mallory, bystander) = (scene.mallory().token, scene.bystander().token);
    let started = scene.host.request(Method::POST, "/run/bystander/wf").bearer_auth(&bystander);
    let answer = scene.host.ask(started.header("prefer", "respond-async")).await.expect(202);
    let run = answer.json()["run"].as_str().unwrap().to_owned();
    scene.bystander().ended(&run).await;

    let ask = |method, path: &str| {
        let request = scene.host.request(method, &format!("/api/v1/tenants/{path}"));
        request.bearer_auth(&mallory).json(&json!({}))
    };
    all_alike(
        &scene,
        404,
        vec![
            ("another's connection", ask(Method::GET, "bystander/connections/echo")),
            ("none of another's", ask(Method::GET, "bystander/connections/none")),
            ("no such tenant", ask(Method::GET, "nobody/connections/echo")),
            ("none of one's own", ask(Method::GET, "mallory/connections/none")),
            ("another's workflow", ask(Method::GET, "bystander/workflows/wf")),
            ("another's run", ask(Method::GET, &format!("bystander/runs/{run}"))),
            ("another's run under one's own name", ask(Method::GET, &format!("mallory/runs/{run}"))),
            ("another's runs", ask(Method::GET, "bystander/runs")),
            ("another's secrets", ask(Method::GET, "bystander/secrets")),
            ("nobody's secrets", ask(Method::GET, "nobody/secrets")),
            ("another's tenant", ask(Method::GET, "bystander")),
            ("no tenant", ask(Method::GET, "nobody")),
            ("a call of another's", ask(Method::POST, "bystander/connections/echo/call/go")),
            (
                "a call of another's missing endpoint",
                ask(Method::POST, "bystander/connections/echo/call/none"),
            ),
            ("a call of none", ask(Method::POST, "mallory/connections/none/call/go")),
            ("another's connection, deleted", ask(Method::DELETE, "bystander/connections/echo")),
            ("none, deleted", ask(Method::DELETE, "nobody/connections/echo")),
        ],
    )
    .await;
    scene.bystander_is_served().await;

    let own = scene.mallory().call("echo", "goo", json!(1)).await.expect(422);
    assert_eq!(own.code(), "unknown-endpoint");
    assert!(own.text.contains("`goo`") && own.text.contains("did you mean `go`"), "{own:?}");
}
