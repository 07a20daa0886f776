//! Tokens: made, shown once, listed, limited, revoked. Who may do what is in `permissions.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use axum::body::Body;
use host_control::{Role, Scope};
use serde_json::{Value, json};
use world::*;

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
    let made = world
        .post("/tokens", json!({ "tenant": "acme", "role": "developer", "note": "ci" }).to_string())
        .await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let (id, text) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());

    let me = world.send("GET", "/whoami", Some(text), Body::empty()).await.ok();
    assert_eq!(
        (&me["scope"], &me["tenant"], &me["role"]),
        (&json!("tenant"), &json!("acme"), &json!("developer"))
    );
    let listed = world.get("/tokens").await;
    assert!(listed.text.contains(id) && !listed.text.contains(text), "{}", listed.text);

    world.delete(&format!("/tokens/{id}")).await.ok();
    world.send("GET", "/whoami", Some(text), Body::empty()).await.refused(401, "unauthorized");
    world.delete(&format!("/tokens/{id}")).await.refused(404, "not-found");
}

#[tokio::test]
async fn a_login_is_ended_by_its_owner_or_a_keeper_and_handed_on_by_nobody() {
    let world = World::new().await;
    let text = world.login(Scope::of("acme".parse().unwrap(), Role::Developer)).await;
    let me = world.send("GET", "/whoami", Some(&text), Body::empty()).await.ok();
    assert_eq!((&me["subject"], &me["note"]), (&json!("oidc:corp:ada"), &json!("ada")));
    let path = format!("/tokens/{}/rotate", me["id"].as_str().unwrap());
    world.post(&path, json!({ "overlap-s": 0 }).to_string()).await.refused(409, "login");
    world.send("POST", "/logout", Some(&text), Body::empty()).await.ok();
    world.send("GET", "/whoami", Some(&text), Body::empty()).await.refused(401, "unauthorized");
    world.send("POST", "/logout", Some(&world.operator), Body::empty()).await.refused(409, "no-login");
}

#[tokio::test]
async fn a_token_wish_that_does_not_fit_is_refused() {
    let world = World::new().await;
    for (wish, want) in [
        (json!({ "tenant": "nobody", "role": "viewer" }), "`nobody` does not exist"),
        (json!({ "tenat": "acme", "role": "viewer" }), "did you mean `tenant`?"),
        (json!({ "role": "admin" }), "missing field `tenant`"),
        (json!({ "tenant": "acme" }), "missing field `role`"),
        (json!({ "tenant": "acme", "role": "admim" }), "did you mean `admin`?"),
        (json!({ "tenant": null, "role": "admin" }), "that role is in a tenant: name it"),
        (json!({ "tenant": "acme", "role": "operator" }), "of no tenant"),
        (json!({ "tenant": "acme", "role": "service" }), "takes the workflows or connections"),
        (json!({ "tenant": "acme", "role": "viewer", "limits": {} }), "only the role `service`"),
        (json!({ "tenant": null, "role": "operator", "note": "a\nb" }), "one line"),
    ] {
        let detail = world.post("/tokens", wish.to_string()).await.refused(422, "invalid");
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

#[tokio::test]
async fn an_admin_keeps_the_tokens_of_its_own_tenant_and_no_others() {
    let world = World::new().await;
    let admin = world.token("globex").await;
    let make = |wish: Value| world.send("POST", "/tokens", Some(&admin), wish.to_string().into());
    let made = make(json!({ "tenant": "globex", "role": "viewer" })).await.ok();
    let detail = make(json!({ "tenant": "acme", "role": "viewer" })).await.refused(422, "invalid");
    let nowhere = make(json!({ "tenant": "nobody", "role": "viewer" })).await.refused(422, "invalid");
    assert_eq!(detail.replace("acme", "nobody"), nowhere, "another tenant looks as one that is not there");
    make(json!({ "tenant": null, "role": "operator" })).await.refused(403, "forbidden");

    let all = world.get("/tokens").await.ok();
    let acmes = all.as_array().unwrap().iter().find(|token| token["tenant"] == "acme").unwrap();
    let listed = world.send("GET", "/tokens", Some(&admin), Body::empty()).await.ok();
    assert!(listed.as_array().unwrap().iter().all(|token| token["tenant"] == "globex"), "{listed}");
    let path = |token: &Value| format!("/tokens/{}", token["id"].as_str().unwrap());
    world.send("DELETE", &path(acmes), Some(&admin), Body::empty()).await.refused(404, "not-found");
    world.send("DELETE", &path(&made), Some(&admin), Body::empty()).await.ok();
}

#[tokio::test]
async fn pages_of_one_tenants_tokens_pass_over_the_others() {
    let world = World::new().await;
    for place in 0..6 {
        world.token_as(if place % 2 == 0 { "acme" } else { "globex" }, Role::Viewer).await;
    }
    let (mut path, mut seen) = ("/tokens?limit=2".to_owned(), Vec::new());
    loop {
        let page = world.send("GET", &path, Some(&world.globex), Body::empty()).await;
        let tokens = page.ok();
        seen.extend(tokens.as_array().unwrap().iter().map(|token| token["tenant"].clone()));
        let Some(link) = page.headers.get("link") else { break };
        let query = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        path = format!("/tokens{query}");
    }
    assert_eq!(seen, vec![json!("globex"); 4]);
}

#[tokio::test]
async fn a_token_is_made_for_a_time_and_rotated_with_an_overlap() {
    let world = World::new().await;
    let wish = |lasts: u64| json!({ "tenant": "acme", "role": "viewer", "expires-in-s": lasts }).to_string();
    world.post("/tokens", wish(0)).await.refused(422, "invalid");
    let made = world.post("/tokens", wish(3_600)).await.ok();
    assert_eq!(made["expires-at"], "1970-01-01T01:00:00Z");
    let (id, first) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());

    let rotate = format!("/tokens/{id}/rotate");
    world.post(&rotate, "{}").await.refused(422, "invalid");
    world.post(&rotate, json!({ "overlap-s": 31 * 86_400 }).to_string()).await.refused(422, "invalid");
    let rotated = world.post(&rotate, json!({ "overlap-s": 60 }).to_string()).await.ok();
    let second = rotated["token"].as_str().unwrap();
    assert_eq!((&rotated["id"], &rotated["expires-at"]), (&made["id"], &made["expires-at"]));
    for text in [first, second] {
        let me = world.send("GET", "/whoami", Some(text), Body::empty()).await.ok();
        assert_eq!(me["id"], made["id"]);
    }
    world.post(&rotate, json!({ "overlap-s": 0 }).to_string()).await.ok();
    for text in [first, second] {
        world.send("GET", "/whoami", Some(text), Body::empty()).await.refused(401, "unauthorized");
    }
    let listed = world.get("/tokens").await.ok();
    let ours = listed.as_array().unwrap().iter().find(|token| token["id"] == made["id"]).unwrap();
    assert_eq!(ours["last-used-at"], "1970-01-01T00:00:00Z");
}

#[tokio::test]
async fn who_fails_too_often_is_told_when_to_come_again_and_nobody_else_is_locked_out() {
    let world = World::new().await;
    let (stranger, friend) = ([203, 0, 113, 9].into(), [203, 0, 113, 10].into());
    let ask = |from, token| world.send_from(from, "GET", "/whoami", Some(token), Body::empty());
    for _ in 0..20 {
        ask(stranger, "wharf_garbage").await.refused(401, "unauthorized");
    }
    let answer = ask(stranger, &world.acme).await;
    answer.refused(429, "too-many-failures");
    assert_eq!(answer.headers["retry-after"], "6");
    ask(friend, &world.acme).await.ok();
}
