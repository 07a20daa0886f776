//! What waits for consent, who may give it, and what is served meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use std::sync::Arc;

use axum::body::Body;
use host_control::{Ceilings, Role, router};
use host_model::forbidden::Forbidden;
use host_model::grants::{Asking, Origin};
use host_model::name::TenantId;
use host_model::resource::Connection;
use serde_json::{Value, json};
use world::*;

const CONSENT: &str = "/tenants/acme/connections/crm/consent";
const CRM_AT: &str = "/tenants/acme/connections/crm";

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

/// The next version of the CRM's connector: it asks for more.
fn greedy() -> String {
    CRM.replace("0.1.0", "0.2.0").replace(
        "http = [\"{base-url}\"]",
        "http = [\"{base-url}\", { origin = \"https://api.example.com\", methods = [\"POST\"], paths = [\"/v2\"] }]\nkv = true",
    )
}

/// The next version of the workflow: it calls one endpoint more.
fn meddling() -> String {
    INTAKE.replace("0.1.0", "0.2.0").replace("\"create-lead\"", "\"create-lead\", \"delete-lead\"")
}

struct Story {
    world: World,
    developer: String,
    admin: String,
}

impl Story {
    /// The lead's set-up, the next versions published, and two people.
    async fn new() -> Self {
        let world = World::with_lead().await;
        let deleting = CRM.replace("0.1.0", "0.1.1").replace(
            "[config.base-url]",
            "[endpoints.delete-lead]\ndirection = \"outbound\"\n[config.base-url]",
        );
        for manifest in [&greedy(), &meddling(), &deleting] {
            world.control.registry.publish(package(manifest).into(), "test").await.unwrap();
        }
        let developer = world.token_as("acme", Role::Developer).await.1;
        let admin = world.token_as("acme", Role::Admin).await.1;
        for token in [&developer, &admin] {
            // The first use of a token is written down, which is no change of what is set up.
            world.send("GET", "/whoami", Some(token), Body::empty()).await.ok();
        }
        Self { world, developer, admin }
    }

    async fn applies(&self, who: &str, yaml: &str) -> Answer {
        self.world.send("POST", "/apply?file=f.yaml", Some(who), yaml.to_owned().into()).await
    }

    async fn consents(&self, who: &str, digest: &str) -> Answer {
        let body = json!({ "digest": digest }).to_string();
        self.world.send("POST", CONSENT, Some(who), body.into()).await
    }

    fn crm(&self) -> Arc<Connection> {
        self.world.routes.routes.connection(&acme(), &"crm".parse().unwrap()).expect("it is routed")
    }

    /// Which version is served, and whether it may reach this.
    fn serves(&self, url: &str, method: &str) -> (String, bool) {
        let (crm, url) = (self.crm(), url.parse().unwrap());
        let origin = Origin::of(&url).unwrap();
        let methods = [method.parse().unwrap()];
        let asking = Asking { origin: &origin, path: url.path(), methods: &methods, elsewhere: false };
        (crm.package.package.version.to_string(), crm.grants.allows(asking).is_ok())
    }

    async fn pending(&self) -> Value {
        self.world.get(CRM_AT).await.ok()["pending"].clone()
    }
}

fn lead(from: &str, to: &str) -> String {
    assert!(LEAD.contains(from), "{from}");
    LEAD.replace(from, to)
}

fn upgrade() -> String {
    lead("example/crm@0.1.0", "example/crm@0.2.0")
}

fn crm_of(done: &Value) -> Value {
    done.as_array().unwrap().iter().find(|it| it["name"] == "crm").unwrap().clone()
}

const V2: &str = "https://api.example.com/v2/x";

#[tokio::test]
async fn a_version_that_asks_for_more_waits_even_for_an_admin_and_the_old_one_serves_until_somebody_consents()
{
    let story = Story::new().await;
    let done = story.applies(&story.admin, &upgrade()).await.ok();
    let crm = crm_of(&done);
    assert_eq!(crm["action"], "pending");
    assert_eq!(
        crm["waits"]["asks"],
        json!(["send POST requests to https://api.example.com/v2/…", "keep values"])
    );
    assert_eq!(story.serves(V2, "POST"), ("0.1.0".to_owned(), false));
    assert_eq!(story.world.get(CRM_AT).await.ok()["package"], "example/crm@0.1.0");
    let pending = story.pending().await;
    assert_eq!(pending["asks"], crm["waits"]["asks"]);
    assert_eq!(pending["document"]["package"], "example/crm@0.2.0");

    let digest = pending["digest"].as_str().unwrap();
    story.consents(&story.developer, digest).await.refused(403, "forbidden");
    assert_eq!(story.serves(V2, "POST").0, "0.1.0");

    let done = story.consents(&story.admin, digest).await.ok();
    assert_eq!((&done["action"], &done["waits"]), (&json!("updated"), &Value::Null));
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
    assert!(!story.serves(V2, "GET").1, "what was asked, and no more");
    assert!(story.crm().grants.kv);
    assert_eq!(story.pending().await, Value::Null);

    let again = story.applies(&story.developer, &upgrade()).await.ok();
    assert_eq!(crm_of(&again)["action"], "unchanged");
    // Back and forth again: what was consented to for this connection is not asked for twice.
    story.applies(&story.developer, LEAD).await.ok();
    assert_eq!(story.serves(V2, "POST"), ("0.1.0".to_owned(), false));
    story.applies(&story.developer, &upgrade()).await.ok();
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
}

#[tokio::test]
async fn a_version_that_asks_for_the_same_or_for_what_is_allowed_serves_at_once() {
    let story = Story::new().await;
    let done = story.applies(&story.developer, &lead("crm@0.1.0", "crm@0.1.1")).await.ok();
    assert_eq!(crm_of(&done)["action"], "updated");
    assert_eq!(story.serves(V2, "POST").0, "0.1.1");

    let wide = upgrade().replace(
        "grants: { http: ['http://127.0.0.1:9101'] }",
        "grants: { http: ['http://127.0.0.1:9101', 'https://*.example.com'], kv: true }",
    );
    let done = story.applies(&story.admin, &wide).await.ok();
    assert_eq!(crm_of(&done)["action"], "updated", "an admin who writes it out has consented");
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
}

#[tokio::test]
async fn a_developers_wider_grants_wait_and_narrower_ones_do_not() {
    let story = Story::new().await;
    let wide = lead("['http://127.0.0.1:9101'] }", "['http://127.0.0.1:9101', 'http://127.0.0.1:9102'] }");
    let done = story.applies(&story.developer, &wide).await.ok();
    assert_eq!(crm_of(&done)["waits"]["asks"], json!(["send any request to http://127.0.0.1:9102"]));
    assert!(story.crm().grants.allows(asking_9101()).is_ok(), "what is served stays");
    let once = story.world.stored().await;
    story.applies(&story.developer, &wide).await.ok();
    assert_eq!(story.world.stored().await, once, "again changes nothing");

    let narrow = lead("grants: { http: ['http://127.0.0.1:9101'] }", "grants: {}");
    let done = crm_of(&story.applies(&story.developer, &narrow).await.ok());
    assert_eq!(done["action"], "updated");
    assert!(done["warnings"][0].as_str().unwrap().contains("dropped"), "{done}");
    assert_eq!(story.pending().await, Value::Null);
    assert!(story.crm().grants.allows(asking_9101()).is_err());

    let done = story.applies(&story.developer, LEAD).await.ok();
    assert_eq!(crm_of(&done)["action"], "pending", "what was taken back is asked for again");
    story.applies(&story.admin, LEAD).await.ok();
    assert!(story.crm().grants.allows(asking_9101()).is_ok(), "who may consent has by applying");
}

fn asking_9101() -> Asking<'static> {
    use std::sync::LazyLock;
    static ORIGIN: LazyLock<Origin> =
        LazyLock::new(|| Origin::of(&"http://127.0.0.1:9101".parse().unwrap()).unwrap());
    Asking { origin: &ORIGIN, path: "/x", methods: &[http::Method::GET], elsewhere: false }
}

#[tokio::test]
async fn a_developers_new_connection_is_there_at_once_and_reaches_nothing_until_somebody_consents() {
    let story = Story::new().await;
    for (kind, name) in [("schedules", "nightly"), ("workflows", "intake"), ("connections", "crm")] {
        story.world.delete(&format!("/tenants/acme/{kind}/{name}")).await.ok();
    }
    let done = crm_of(&story.applies(&story.developer, LEAD).await.ok());
    assert_eq!(done["action"], "created");
    let asks = json!([
        "send any request to http://127.0.0.1:9101",
        "have the secret `crm-key` sent to http://127.0.0.1:9101"
    ]);
    assert_eq!(done["waits"]["asks"], asks);
    assert!(story.crm().grants.allows(asking_9101()).is_err());
    assert!(story.world.routes.routes.resolve_run("acme", "intake").is_ok(), "others may name it");

    let digest = done["waits"]["digest"].as_str().unwrap();
    story.consents(&story.admin, digest).await.ok();
    assert!(story.crm().grants.allows(asking_9101()).is_ok());

    // Another of the tenant's secrets, to where it could take it.
    let done = story.applies(&story.developer, &lead("crm-key", "stripe-key")).await.ok();
    let asks = json!(["have the secret `stripe-key` sent to http://127.0.0.1:9101"]);
    assert_eq!(crm_of(&done)["waits"]["asks"], asks);
    assert_eq!(story.crm().credentials[0].secret.as_str(), "crm-key");
}

#[tokio::test]
async fn another_connector_under_the_same_name_inherits_neither_grants_nor_consents() {
    let story = Story::new().await;
    story.applies(&story.admin, &upgrade()).await.ok();
    let digest = story.pending().await["digest"].as_str().unwrap().to_owned();
    story.consents(&story.admin, &digest).await.ok();
    let twin = greedy().replace("example/crm", "evil/crm");
    story.world.control.registry.publish(package(&twin).into(), "test").await.unwrap();

    let swapped = lead("example/crm@0.1.0", "evil/crm@0.2.0");
    let done = crm_of(&story.applies(&story.developer, &swapped).await.ok());
    let asks = json!([
        "send any request to http://127.0.0.1:9101",
        "have the secret `crm-key` sent to http://127.0.0.1:9101"
    ]);
    assert_eq!((&done["action"], &done["waits"]["asks"]), (&json!("pending"), &asks));
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
    assert_eq!(story.crm().package.package.name.as_str(), "example/crm");

    story.applies(&story.admin, &swapped).await.ok();
    assert_eq!(story.crm().package.package.name.as_str(), "evil/crm", "an admin wrote it out");
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), false), "what was consented to was another's");
}

#[tokio::test]
async fn nobody_consents_to_what_they_were_not_shown() {
    let story = Story::new().await;
    story.consents(&story.admin, &format!("sha256:{}", "0".repeat(64))).await.refused(409, "nothing-waits");
    story.applies(&story.developer, &upgrade()).await.ok();
    let shown = story.pending().await["digest"].as_str().unwrap().to_owned();
    let more =
        upgrade().replace("http://127.0.0.1:9101']", "http://127.0.0.1:9101', 'https://evil.example']");
    story.applies(&story.developer, &more).await.ok();
    story.consents(&story.admin, &shown).await.refused(409, "changed");
    assert_eq!(story.serves(V2, "POST").0, "0.1.0");

    // The same words, and another document.
    let shown = story.pending().await["digest"].as_str().unwrap().to_owned();
    let other = more.replace("crm-key", "other-key");
    story.applies(&story.developer, &other).await.ok();
    story.consents(&story.admin, &shown).await.refused(409, "changed");
    let shown = story.pending().await["digest"].as_str().unwrap().to_owned();
    story.consents(&story.admin, &shown).await.ok();
    assert_eq!(
        story.serves("https://evil.example/", "GET"),
        ("0.2.0".to_owned(), false),
        "granted, not asked"
    );
    story.consents(&story.admin, &shown).await.refused(409, "nothing-waits");
}

#[tokio::test]
async fn a_change_that_waits_is_dropped_by_the_old_document_or_with_the_connection() {
    let story = Story::new().await;
    let before = story.world.stored().await;
    story.applies(&story.developer, &upgrade()).await.ok();
    let done = crm_of(&story.applies(&story.developer, LEAD).await.ok());
    assert_eq!(done["action"], "unchanged");
    assert_eq!(story.pending().await, Value::Null);
    let kept = |all: Vec<host_store::Entry>| all.into_iter().map(|it| it.key).collect::<Vec<_>>();
    assert_eq!(kept(story.world.stored().await), kept(before));

    story.applies(&story.admin, &upgrade()).await.ok();
    for (kind, name) in [("schedules", "nightly"), ("workflows", "intake"), ("connections", "crm")] {
        story.world.delete(&format!("/tenants/acme/{kind}/{name}")).await.ok();
    }
    let keys = kept(story.world.stored().await);
    assert!(!keys.iter().any(|key| key.windows(7).any(|it| it == b"pending")), "nothing stays behind");
}

#[tokio::test]
async fn a_dry_run_says_what_would_wait_and_keeps_nothing() {
    let story = Story::new().await;
    let before = story.world.stored().await;
    let path = "/apply?file=f.yaml&dry-run=true";
    let done = story.world.send("POST", path, Some(&story.developer), upgrade().into()).await.ok();
    assert_eq!(crm_of(&done)["action"], "pending");
    assert_eq!(crm_of(&done)["waits"]["asks"][1], "keep values");
    assert_eq!(story.world.stored().await, before);
}

#[tokio::test]
async fn one_mistake_elsewhere_in_the_file_keeps_also_what_would_wait_out() {
    let story = Story::new().await;
    let before = story.world.stored().await;
    let broken = upgrade().replace("0 3 * * *", "0 25 * * *");
    story.applies(&story.developer, &broken).await.refused(422, "invalid");
    assert_eq!(story.world.stored().await, before);
}

#[tokio::test]
async fn what_waits_and_what_was_consented_to_survive_a_restart() {
    let story = Story::new().await;
    story.applies(&story.developer, &upgrade()).await.ok();
    let waited = story.pending().await;
    let Story { mut world, developer, admin } = story;
    (world.control, world.routes, world.calls) = control(&world.store, &world.blobs).await;
    world.api = router(world.control.clone());
    let story = Story { world, developer, admin };
    assert_eq!(story.pending().await, waited);
    assert_eq!(story.serves(V2, "POST"), ("0.1.0".to_owned(), false));
    story.consents(&story.admin, waited["digest"].as_str().unwrap()).await.ok();

    let Story { mut world, developer, admin } = story;
    (world.control, world.routes, world.calls) = control(&world.store, &world.blobs).await;
    world.api = router(world.control.clone());
    let story = Story { world, developer, admin };
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
}

#[tokio::test]
async fn consent_is_taken_back_without_touching_the_document() {
    let story = Story::new().await;
    story.applies(&story.admin, &upgrade()).await.ok();
    let digest = story.pending().await["digest"].as_str().unwrap().to_owned();
    story.consents(&story.admin, &digest).await.ok();
    let withdraw = |who: String| {
        let world = &story.world;
        async move { world.send("DELETE", CONSENT, Some(&who), Body::empty()).await }
    };
    withdraw(story.developer.clone()).await.refused(403, "forbidden");
    withdraw(story.admin.clone()).await.ok();
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), false));
    assert!(story.crm().grants.allows(asking_9101()).is_ok(), "what is written under grants stays");
    withdraw(story.admin.clone()).await.refused(409, "nothing-waits");
}

#[tokio::test]
async fn a_workflow_that_would_call_more_waits_too() {
    let story = Story::new().await;
    story.applies(&story.developer, &lead("crm@0.1.0", "crm@0.1.1")).await.ok();
    let both = lead("crm@0.1.0", "crm@0.1.1").replace("intake@0.1.0", "intake@0.2.0");
    let done = story.applies(&story.developer, &both).await.ok();
    assert_eq!(done[0]["action"], "pending");
    assert_eq!(
        done[0]["waits"]["asks"],
        json!(["call endpoint `delete-lead` of the connection in role `crm`"])
    );
    let at = "/tenants/acme/workflows/intake";
    let shown = story.world.get(at).await.ok();
    assert_eq!(
        (&shown["package"], &shown["pending"]["asks"]),
        (&json!("example/intake@0.1.0"), &done[0]["waits"]["asks"])
    );
    let body = json!({ "digest": shown["pending"]["digest"] }).to_string();
    let path = format!("{at}/consent");
    story
        .world
        .send("POST", &path, Some(&story.developer), body.clone().into())
        .await
        .refused(403, "forbidden");
    story.world.send("POST", &path, Some(&story.admin), body.into()).await.ok();
    assert_eq!(story.world.get(at).await.ok()["package"], "example/intake@0.2.0");
}

#[tokio::test]
async fn what_waits_is_one_change_however_many_are_written() {
    let story = Story::new().await;
    let keys = story.world.stored().await.len();
    for port in 9200..9220 {
        let wide = lead("['http://127.0.0.1:9101'] }", &format!("['http://127.0.0.1:{port}'] }}"));
        story.applies(&story.developer, &wide).await.ok();
    }
    assert_eq!(story.world.stored().await.len(), keys + 1);
    assert_eq!(story.pending().await["asks"], json!(["send any request to http://127.0.0.1:9219"]));
    let many: Vec<_> = (0..1_001).map(|n| format!("'https://h{n}.example'")).collect();
    let wide = lead("['http://127.0.0.1:9101'] }", &format!("[{}] }}", many.join(", ")));
    let detail = story.applies(&story.admin, &wide).await.refused(422, "invalid");
    assert!(detail.contains("grants"), "{detail}");
}

#[tokio::test]
async fn what_get_shows_of_something_that_waits_can_be_put_back() {
    let story = Story::new().await;
    story.applies(&story.developer, &upgrade()).await.ok();
    let shown = story.world.get(CRM_AT).await.ok();
    let done = story.world.put(CRM_AT, shown).await.ok();
    assert_eq!(done["action"], "unchanged");
    assert_eq!(story.pending().await, Value::Null, "that was the old document");
}

#[tokio::test]
async fn another_tenant_learns_nothing() {
    let story = Story::new().await;
    story.applies(&story.developer, &upgrade()).await.ok();
    let globex = story.world.globex.clone();
    story.consents(&globex, &format!("sha256:{}", "0".repeat(64))).await.refused(404, "not-found");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_does_not_wait() {
    let story = Story::new().await;
    let before = story.world.stored().await;
    let broken = upgrade().replace("credentials: { key: { secret: crm-key } }", "");
    let detail = story.applies(&story.developer, &broken).await.refused(422, "invalid");
    assert!(detail.contains("credentials `key` is missing"), "{detail}");
    assert_eq!(story.world.stored().await, before);
}

#[tokio::test]
async fn what_the_operator_forbids_is_refused_to_everybody_and_consent_does_not_help() {
    let mut story = Story::new().await;
    story.applies(&story.developer, &upgrade()).await.ok();
    let digest = story.pending().await["digest"].as_str().unwrap().to_owned();

    // The host starts again with other rules.
    let forbidden = Forbidden {
        packages: vec!["example/intake@0.1.*".parse().unwrap()],
        grants: vec!["kv".parse().unwrap(), "http://127.0.0.1:9103".parse().unwrap()],
    };
    let ceilings = Ceilings { forbidden, ..Ceilings::default() };
    let world = &mut story.world;
    (world.control, world.routes, world.calls) = control_with(&world.store, &world.blobs, ceilings).await;
    world.api = router(world.control.clone());

    let detail = story.consents(&story.admin, &digest).await.refused(422, "invalid");
    assert!(detail.contains("to keep values is forbidden by the operator"), "{detail}");
    assert!(story.pending().await["error"].as_str().unwrap().contains("forbidden"), "and it is told");
    story.applies(&story.admin, &upgrade()).await.refused(422, "invalid");
    let reaching = lead("['http://127.0.0.1:9101'] }", "['http://127.0.0.1:9103'] }");
    let detail = story.world.apply(&reaching, "tenant=acme").await.refused(422, "invalid");
    assert!(detail.contains("http://127.0.0.1:9103 is forbidden"), "also by the operator's token: {detail}");

    // What was set up before is served no more, and says why.
    assert!(story.world.routes.routes.resolve_run("acme", "intake").is_err());
    let shown = story.world.get("/tenants/acme/workflows/intake").await.ok();
    assert!(shown["error"].as_str().unwrap().contains("`example/intake@0.1.0` is forbidden"), "{shown}");
    assert!(story.crm().grants.allows(asking_9101()).is_ok(), "its neighbours are");

    let taken = package(INTAKE);
    let detail = story.world.post("/packages", taken).await.refused(403, "package-forbidden");
    assert!(detail.contains("`example/intake@0.1.*`"), "{detail}");
    let keeping = CRM.replace("0.1.0", "0.3.0").replace("[grants]", "[grants]\nkv = true");
    story.world.post("/packages", package(&keeping)).await.refused(403, "package-forbidden");
    story.world.post("/packages", package(&CRM.replace("0.1.0", "0.4.0"))).await.ok();
}

#[tokio::test]
async fn of_two_people_who_consent_at_once_one_does_and_the_other_is_told() {
    let story = Story::new().await;
    let second = story.world.token_as("acme", Role::Admin).await.1;
    story.applies(&story.admin, &upgrade()).await.ok();
    let digest = story.pending().await["digest"].as_str().unwrap().to_owned();
    let (one, two) = tokio::join!(story.consents(&story.admin, &digest), story.consents(&second, &digest));
    let (won, lost) = if one.status.is_success() { (one, two) } else { (two, one) };
    assert_eq!(won.ok()["action"], "updated");
    lost.refused(409, "nothing-waits");
    assert_eq!(story.serves(V2, "POST"), ("0.2.0".to_owned(), true));
    assert_eq!(story.pending().await, Value::Null);
}
