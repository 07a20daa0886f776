//! Resources one at a time: written, shown, deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use std::sync::Arc;

use host_store::{Commit, Store, key};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use world::*;

#[tokio::test]
async fn what_is_shown_can_be_written_again() {
    let world = World::with_lead().await;
    for path in [
        "/tenants/acme",
        "/tenants/acme/connections/crm",
        "/tenants/acme/workflows/intake",
        "/tenants/acme/schedules/nightly",
    ] {
        let shown = world.get(path).await.ok();
        let again = world.put(path, shown.clone()).await;
        assert_eq!((again.status.as_u16(), &again.ok()["action"]), (200, &json!("unchanged")), "{shown}");
    }
    let fresh = json!({ "name": "other", "package": "example/web-form@0.1.0" });
    assert_eq!(world.put("/tenants/acme/connections/other", fresh).await.status, 201);
}

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_by_name() {
    let world = World::new().await;
    let path = "/tenants/acme/connections/crm";
    for (body, want) in [
        (json!({ "name": "crm", "pakage": "example/crm@0.1.0" }), "did you mean `package`?"),
        (json!({ "name": "cmr", "package": "example/crm@0.1.0" }), "the body's name is `cmr`"),
        (
            json!({ "kind": "workflow", "name": "crm", "package": "example/crm@0.1.0" }),
            "this takes `kind: connection`",
        ),
        (json!({ "name": "crm", "package": "example/crm@0.1.0" }), "config `base-url` is missing"),
    ] {
        let detail = world.put(path, body).await.refused(422, "invalid");
        assert!(detail.contains(want), "{detail}");
    }
    world.send("PUT", path, Some(&world.operator), "{".into()).await.refused(400, "bad-request");
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    world.send("PUT", path, Some(&world.operator), large.into()).await.refused(413, "body-too-large");
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted() {
    let world = World::with_lead().await;
    let detail = world.delete("/tenants/acme/connections/crm").await.refused(409, "in-use");
    assert!(detail.contains("would break workflow `intake`"), "{detail}");
    let detail = world.delete("/tenants/acme/workflows/intake").await.refused(409, "in-use");
    assert!(detail.contains("would break schedule `nightly`"), "{detail}");
    let detail = world.delete("/tenants/acme").await.refused(409, "in-use");
    assert!(detail.contains("2 connections, 1 workflows, 1 schedules"), "{detail}");

    for path in ["schedules/nightly", "workflows/intake", "connections/crm", "connections/web-form"] {
        world.delete(&format!("/tenants/acme/{path}")).await.ok();
        world.get(&format!("/tenants/acme/{path}")).await.refused(404, "not-found");
    }
    assert!(world.routes.routes.resolve_run("acme", "intake").is_err());
    world.put("/tenants/acme/secrets/left", json!({ "value": "s" })).await.ok();
    let detail = world.delete("/tenants/acme").await.refused(409, "in-use");
    assert!(detail.contains("1 secrets"), "{detail}");
    world.delete("/tenants/acme/secrets/left").await.ok();
    world.delete("/tenants/acme").await.ok();
    world.delete("/tenants/acme").await.refused(404, "not-found");
}

#[tokio::test]
async fn a_restart_serves_what_was_written() {
    let world = World::with_lead().await;
    let (_, served, _) = control(&world.store, &world.blobs).await;
    assert!(served.routes.resolve_run("acme", "intake").is_ok());
    assert!(served.routes.resolve_hook("acme", "web-form", "").is_ok());
    assert_eq!(served.schedules.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_kept_resource_that_no_longer_fits_is_left_out_and_shown_with_its_error() {
    let world = World::with_lead().await;
    // As a host of another version would have written them.
    let tenant = key::tenant(&"acme".parse().unwrap());
    let odd = Commit::default()
        .put(
            tenant.clone().kind("connection").name("gone"),
            r#"{"name":"gone","package":"example/gone@1.0.0"}"#,
        )
        .put(tenant.kind("schedule").name("odd"), "not json")
        .put(key::host().kind("tenant").name("odd"), "not json");
    world.store.commit(odd).await.unwrap();

    let (after, served, _) = control(&world.store, &world.blobs).await;
    assert!(served.routes.resolve_run("acme", "intake").is_ok(), "the others are served");
    let mut world = world;
    world.api = host_control::router(after.clone());
    world.control = after;
    let gone = world.get("/tenants/acme/connections/gone").await.ok();
    assert_eq!(gone["package"], "example/gone@1.0.0");
    assert!(gone["error"].as_str().unwrap().contains("not in the registry"), "{gone}");
    let odd = world.get("/tenants/acme/schedules").await.ok();
    assert!(odd[1]["error"].as_str().unwrap().contains("cannot be read any more"), "{odd}");
    let called = world.post("/tenants/acme/connections/gone/check", "").await.refused(422, "invalid");
    assert!(called.contains("cannot be used"), "{called}");

    // What was broken before keeps nobody from changing other things, and can go.
    world.apply(&LEAD.replace("0 3", "0 4"), "tenant=acme").await.ok();
    world.delete("/tenants/acme/schedules/odd").await.ok();
    world.delete("/tenants/acme/connections/gone").await.ok();
}

#[tokio::test]
async fn two_hosts_on_one_store_follow_each_other_and_never_mix_two_changes() {
    let world = World::with_lead().await;
    let (other, served, _) = control(&world.store, &world.blobs).await;
    let stop = CancellationToken::new();
    let following = other.catalog.follow(stop.clone());
    let change = async {
        world.delete("/tenants/acme/schedules/nightly").await.ok();
        while !served.schedules.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // The other host has not been told yet when it is asked: it finds out.
        world.delete("/tenants/acme/workflows/intake").await.ok();
        let mut there = World { api: host_control::router(other.clone()), ..World::new().await };
        there.operator = world.operator.clone();
        there.apply(LEAD, "tenant=acme").await.ok();
        world.delete("/tenants/acme/connections/crm").await.refused(409, "in-use");
        stop.cancel();
    };
    tokio::join!(following, change);
}

#[tokio::test]
async fn changes_made_at_once_are_all_made() {
    let world = Arc::new(World::new().await);
    let put = |number: usize| {
        let world = world.clone();
        async move {
            let name = format!("c{number}");
            let body = json!({ "name": name, "package": "example/web-form@0.1.0" });
            world.put(&format!("/tenants/acme/connections/{name}"), body).await.ok()
        }
    };
    tokio::join!(put(1), put(2), put(3), put(4), put(5));
    assert_eq!(world.get("/tenants/acme/connections").await.ok().as_array().unwrap().len(), 5);
}
