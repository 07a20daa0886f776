//! Applying files: all or nothing, in any order, as often as one likes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use host_model::name::TenantId;
use serde_json::{Value, json};
use world::*;

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn actions(done: &Value) -> Vec<String> {
    let of = |it: &Value| format!("{} {} {}", it["kind"], it["name"], it["action"]).replace('"', "");
    done.as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_file_in_any_order_is_served_when_its_answer_arrives() {
    let world = World::new().await;
    let done = world.apply(LEAD, "tenant=acme").await.ok();
    assert_eq!(
        actions(&done),
        [
            "workflow intake created",
            "schedule nightly created",
            "connection crm created",
            "connection web-form created"
        ]
    );
    let crm = world.routes.routes.connection(&acme(), &"crm".parse().unwrap()).expect("it is routed");
    assert_eq!(crm.field("base-url").as_deref(), Some("http://127.0.0.1:9101"));
    assert!(world.routes.routes.resolve_run("acme", "intake").is_ok());
    assert!(world.routes.routes.resolve_hook("acme", "web-form", "submit").is_ok());
    assert_eq!(world.routes.schedules.lock().unwrap().len(), 1);

    let mut documents: Vec<_> = LEAD.split("---\n").collect();
    documents.reverse();
    let other = World::new().await;
    other.apply(&documents.join("---\n"), "tenant=acme").await.ok();
    assert!(other.routes.routes.resolve_run("acme", "intake").is_ok());
}

#[tokio::test]
async fn the_same_again_changes_nothing_and_an_edit_only_what_it_edits() {
    let world = World::with_lead().await;
    let before = world.stored().await;
    let again = world.apply(LEAD, "tenant=acme").await.ok();
    assert!(actions(&again).iter().all(|action| action.ends_with("unchanged")), "{again}");
    assert_eq!(world.stored().await, before, "not even a version");

    let edited = world.apply(&LEAD.replace("0 3 * * *", "0 4 * * *"), "tenant=acme").await.ok();
    let updated: Vec<_> =
        actions(&edited).into_iter().filter(|action| !action.ends_with("unchanged")).collect();
    assert_eq!(updated, ["schedule nightly updated"]);
}

#[tokio::test]
async fn a_dry_run_says_what_would_become_and_changes_nothing() {
    let world = World::new().await;
    let before = world.stored().await;
    let done = world.apply(LEAD, "tenant=acme&dry-run=true").await.ok();
    assert_eq!(actions(&done)[0], "workflow intake created");
    assert_eq!(world.stored().await, before);
    assert!(world.routes.routes.resolve_run("acme", "intake").is_err());
    let detail =
        world.apply(&LEAD.replace("role", "rule"), "tenant=acme&dry-run=true").await.refused(422, "invalid");
    assert!(detail.contains("did you mean `roles`?"), "{detail}");
}

#[tokio::test]
async fn one_mistake_keeps_the_whole_file_out_and_is_named_with_file_and_line() {
    let world = World::new().await;
    let before = world.stored().await;
    for (from, to, want) in [
        ("config:", "confg:", "lead.yaml line 16: unknown key `confg`, expected one of"),
        (
            "package: example/crm@0.1.0",
            "package: example/crm@0.2.0",
            "lead.yaml line 13: connection `crm`: package `example/crm@0.2.0` is not in the registry, which has 0.1.0",
        ),
        ("package: example/crm@0.1.0", "package: example/cmr@0.1.0", "publish it first"),
        (
            "roles: { crm: crm }",
            "roles: { crm: cmr }",
            "lead.yaml line 1: workflow `intake`: roles: crm: connection `cmr` does not exist (did you mean `crm`?)",
        ),
        (
            "roles: { crm: crm }",
            "roles: { crm: web-form }",
            "connection `web-form` (example/web-form@0.1.0) offers no outbound endpoint `create-lead`",
        ),
        (
            "connection: web-form, ",
            "connection: crm, ",
            "triggers: connection `crm` (example/crm@0.1.0) receives nothing",
        ),
        (
            "workflow: intake\n",
            "workflow: intak\n",
            "lead.yaml line 8: schedule `nightly`: workflow `intak` does not exist (did you mean `intake`?)",
        ),
        ("0 3 * * *", "0 25 * * *", "schedule `nightly`"),
        ("credentials: { key: { secret: crm-key } }", "", "connection `crm`: credentials `key` is missing"),
        ("name: web-form", "name: crm", "connection `crm` is there twice"),
        (
            "package: example/web-form@0.1.0",
            "package: example/intake@0.1.0",
            "is not a connector or http-proxy",
        ),
    ] {
        assert!(LEAD.contains(from), "{from}");
        let detail = world.apply(&LEAD.replacen(from, to, 1), "tenant=acme").await.refused(422, "invalid");
        assert!(detail.contains(want), "{detail}");
        assert_eq!(world.stored().await, before, "{want}");
    }
}

#[tokio::test]
async fn a_change_that_would_break_something_else_is_refused() {
    let world = World::with_lead().await;
    let alone = "kind: connection\nname: crm\npackage: example/web-form@0.1.0\n";
    let detail = world.apply(alone, "tenant=acme").await.refused(422, "invalid");
    assert!(detail.starts_with("lead.yaml: this would break workflow `intake`: roles: crm"), "{detail}");
    assert!(world.routes.routes.resolve_run("acme", "intake").is_ok());
}

#[tokio::test]
async fn a_tenant_may_be_made_in_the_file_that_fills_it() {
    let world = World::new().await;
    let text = format!("{LEAD}---\nkind: tenant\nname: initech\nconcurrency: 3\n");
    world.apply(&text, "tenant=initech").await.ok();
    assert_eq!(world.get("/tenants/initech").await.ok()["concurrency"], 3);
    assert_eq!(world.get("/tenants/initech/connections").await.ok().as_array().unwrap().len(), 2);

    let detail = world.apply(LEAD, "tenant=nobody").await.refused(422, "invalid");
    assert!(detail.contains("tenant `nobody` does not exist"), "{detail}");
    let detail = world.apply(LEAD, "").await.refused(422, "invalid");
    assert!(detail.contains("whose is it?"), "{detail}");
}

#[tokio::test]
async fn a_tenants_token_applies_to_its_own_tenant_only_and_makes_none() {
    let world = World::new().await;
    let send = |query: &'static str, body: &'static str| {
        let path = format!("/apply?file=f{query}");
        let world = &world;
        async move { world.send("POST", &path, Some(&world.acme), body.into()).await }
    };
    send("", LEAD).await.ok();
    send("&tenant=acme", LEAD).await.ok();
    send("&tenant=globex", LEAD).await.refused(404, "not-found");
    send("&tenant=nobody", LEAD).await.refused(404, "not-found");
    let detail =
        send("", "# mine\nkind: tenant\nname: acme\nconcurrency: 100\n").await.refused(403, "forbidden");
    assert_eq!(detail, "f line 2: `kind: tenant` takes an operator's token");
}

#[tokio::test]
async fn hostile_files_are_refused_and_cost_nothing() {
    let world = World::new().await;
    world.apply(&"x".repeat((1 << 20) + 1), "tenant=acme").await.refused(413, "body-too-large");
    world.apply(&"---\nkind: tenant\nname: a\n".repeat(1_001), "").await.refused(422, "invalid");
    let mut bomb =
        "kind: connection\nname: a\npackage: a/b@1.0.0\nconfig:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            .to_owned();
    for level in 1..12 {
        bomb += &format!("  a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", "));
    }
    world.apply(&bomb, "tenant=acme").await.refused(422, "invalid");
    let invalid = axum::body::Body::from(&[0xff, 0xfe][..]);
    world.post("/apply?tenant=acme", invalid).await.refused(400, "bad-request");
    world.apply("", "tenant=acme&dry-rum=true").await.refused(400, "bad-request");

    let big = format!(
        "kind: connection\nname: a\npackage: example/web-form@0.1.0\ngrants: {{ http: [{}] }}\n",
        "'https://a.example.com', ".repeat(4_000)
    );
    let detail = world.apply(&big, "tenant=acme").await.refused(422, "invalid");
    assert!(detail.contains("the limit is 65536"), "{detail}");
    assert_eq!(world.apply("# nothing\n", "tenant=acme").await.ok(), json!([]));
}

#[tokio::test]
async fn a_thousand_documents_are_applied_at_once() {
    let world = World::new().await;
    let one = |number| format!("kind: connection\nname: c{number}\npackage: example/web-form@0.1.0\n");
    let all: Vec<_> = (0..1_000).map(one).collect();
    let done = world.apply(&all.join("---\n"), "tenant=acme").await.ok();
    assert_eq!(done.as_array().unwrap().len(), 1_000);
    let page = world.get("/tenants/acme/connections?limit=3&after=c0").await;
    assert_eq!(page.headers["link"], "<?after=c100&limit=3>; rel=\"next\"");
    assert_eq!(page.ok()[0]["name"], "c1");
}

#[tokio::test]
async fn a_tenant_names_no_more_versions_of_packages_than_its_quota_allows() {
    let world = World::with_lead().await; // three packages
    let quota = |packages: u64| format!("kind: tenant\nname: acme\nquotas: {{ packages: {packages} }}\n");
    world.apply(&quota(3), "").await.ok();
    world.apply(&LEAD.replace("0 3 * * *", "0 4 * * *"), "tenant=acme").await.ok();
    world.post("/packages", package(&CRM.replace("0.1.0", "0.2.0"))).await.ok();
    let another = "kind: connection\nname: other\npackage: example/web-form@0.1.0\nverify: none\n";
    world.apply(another, "tenant=acme").await.ok(); // the same version again

    let upgraded = another.replace("web-form@0.1.0", "crm@0.2.0").replace("verify: none\n", "")
        + "config: { base-url: 'http://127.0.0.1:9101' }\ncredentials: { key: { secret: crm-key } }\n";
    let before = world.stored().await;
    let detail = world.apply(&upgraded, "tenant=acme").await.refused(422, "invalid");
    assert!(detail.contains("quota `packages` would be passed: 4 versions of packages, of 3"), "{detail}");
    assert_eq!(world.stored().await, before);

    // Lowered below what is there, it takes nothing away and lets nothing be added.
    world.apply(&quota(1), "").await.ok();
    world.apply(LEAD, "tenant=acme").await.ok();
    world.apply(&upgraded, "tenant=acme").await.refused(422, "invalid");
    world.apply(&quota(4), "").await.ok();
    world.apply(&upgraded, "tenant=acme").await.ok();
}
