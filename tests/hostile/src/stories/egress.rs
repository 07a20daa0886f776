//! Guests that go where they were not sent.

use serde_json::{Value, json};
use tests_harness::{Connection, HostBuilder};
use tests_upstreams::{Credentials, Upstreams};

use crate::scene::Scene;

async fn upstreams() -> Upstreams {
    Upstreams::start(Credentials::default()).await.unwrap()
}

/// What became of mallory's fetch.
async fn fetch(scene: &Scene, connection: &str, url: &str) -> Value {
    let report = scene.report(connection, json!({ "url": url })).await;
    assert_eq!(
        report["outcome"]["outcome"], "answered",
        "a refusal is an answer to the guest, no crash: {report}"
    );
    report["outcome"]["value"].clone()
}

#[tokio::test]
async fn a_host_that_was_not_granted_is_denied_and_the_rule_is_named() {
    let upstreams = upstreams().await;
    let (lab, crm) = (format!("http://{}", upstreams.lab), format!("http://{}", upstreams.crm));
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab).open(upstreams.crm)).await;
    scene.publish("fetch").await;
    let connection = |name: &str| Connection::new(name, "probe/fetch@0.1.0").config("base-url", &lab);
    scene.mallory().apply(&connection("granted").grant_http(&lab).yaml()).await;
    scene.mallory().apply(&connection("ungranted").yaml()).await;

    assert_eq!(fetch(&scene, "granted", &format!("{lab}/count")).await["status"], 200);
    let not_asked = fetch(&scene, "granted", &format!("{crm}/leads")).await["error"].to_string();
    assert!(not_asked.contains("Denied") && not_asked.contains(&crm), "{not_asked}");
    assert!(not_asked.contains("manifest does not ask for it under [grants] http"), "{not_asked}");
    let no_consent = fetch(&scene, "ungranted", &format!("{lab}/count")).await["error"].to_string();
    assert!(
        no_consent.contains("Denied") && no_consent.contains("does not list it under grants: http"),
        "{no_consent}"
    );
    assert!(no_consent.contains("connection `ungranted`"), "{no_consent}");

    assert_eq!(upstreams.crm_received().len(), 0);
    assert_eq!(upstreams.lab_received().len(), 1);
}

#[tokio::test]
async fn loopback_is_refused_in_every_disguise_though_it_was_granted() {
    let upstreams = upstreams().await;
    let scene = Scene::empty(HostBuilder::default()).await; // the operator opens nothing
    scene.publish("fetch").await;
    let port = upstreams.lab.port();
    let disguises = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[::127.0.0.1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "１２７.0.0.1",
    ];
    for (number, disguise) in disguises.iter().enumerate() {
        let (name, origin) = (format!("fetch-{number}"), format!("http://{disguise}:{port}"));
        let connection =
            Connection::new(&name, "probe/fetch@0.1.0").config("base-url", &origin).grant_http(&origin);
        scene.mallory().apply(&connection.yaml()).await;
        let refused = fetch(&scene, &name, &format!("{origin}/count")).await["error"].to_string();
        assert!(
            refused.contains("Denied") && refused.contains("not public")
                || refused.contains("not a public address"),
            "{disguise}: {refused}"
        );
        assert!(refused.contains("under [egress]"), "it says who could open it: {refused}");
    }
    assert_eq!(upstreams.lab_received().len(), 0);
}

#[tokio::test]
async fn user_information_never_hides_a_host() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab).open(upstreams.crm)).await;
    scene.publish("fetch").await;
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", &lab).grant_http(&lab).yaml()).await;
    for url in [
        format!("http://{}@{}/leads", upstreams.lab, upstreams.crm),
        format!("http://user:pass@{}/count", upstreams.lab),
    ] {
        let refused = fetch(&scene, "fetch", &url).await["error"].to_string();
        assert!(
            refused.contains("InvalidRequest") && refused.contains("user information"),
            "{url}: {refused}"
        );
    }
    // Here the lab's address is a part of the path or the query, and the host is the CRM's.
    for url in [
        format!("http://{}/@{}", upstreams.crm, upstreams.lab),
        format!("http://{}?@{}", upstreams.crm, upstreams.lab),
    ] {
        let refused = fetch(&scene, "fetch", &url).await["error"].to_string();
        assert!(refused.contains("Denied"), "{url}: {refused}");
    }
    let in_config = Connection::new("hidden", "probe/fetch@0.1.0")
        .config("base-url", format!("http://u@{}", upstreams.lab));
    let refused = scene.mallory().try_apply(&in_config.yaml()).await.expect(422);
    assert!(refused.text.contains("base-url") && refused.text.contains("user information"), "{refused:?}");
    assert!(upstreams.received().is_empty());
}

#[tokio::test]
async fn a_redirect_inward_is_an_answer_and_following_it_is_denied() {
    let upstreams = upstreams().await;
    let lab = format!("http://{}", upstreams.lab);
    // The lab is open and granted; the CRM is inside, like everything else on loopback.
    let scene = Scene::empty(HostBuilder::default().open(upstreams.lab)).await;
    scene.publish("fetch").await;
    scene.mallory().apply(&Connection::probe("fetch").config("base-url", &lab).grant_http(&lab).yaml()).await;

    let inward = format!("http://{}/leads", upstreams.crm);
    let answer = fetch(&scene, "fetch", &format!("{lab}/redirect?to={inward}")).await;
    assert_eq!(answer["status"], 302, "{answer}");
    assert!(answer["headers"].as_array().unwrap().contains(&json!(["location", inward])), "{answer}");
    assert_eq!(upstreams.crm_received().len(), 0, "nobody followed");

    let followed = fetch(&scene, "fetch", &inward).await["error"].to_string();
    assert!(followed.contains("Denied"), "{followed}");
    assert_eq!(upstreams.crm_received().len(), 0);
}
