//! A package's next version asks for more: the old one serves, an admin reads
//! the difference, and what nobody consented to never goes out.

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, probe};
use tests_upstreams::{Credentials, Upstreams};

use crate::cli::User;

/// The first version asks for another origin, one as long.
const MODEST: [(&str, &str); 1] = [("http = [\"{base-url}\"]", "http = [\"http://a.b\"]")];
/// The second is the probe as it is.
const NEXT: [(&str, &str); 1] = [("version = \"0.1.0\"", "version = \"0.2.0\"")];

/// The probe with texts of its manifest replaced by others as long.
fn patched(texts: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = std::fs::read(probe("fetch")).unwrap();
    for (from, to) in texts {
        assert_eq!(from.len(), to.len());
        let places: Vec<_> =
            (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
        assert!(!places.is_empty(), "`{from}` is not in the probe");
        for place in places {
            bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
        }
    }
    bytes
}

struct Story {
    host: Host,
    systems: Upstreams,
    admin: String,
    developer: String,
}

impl Story {
    async fn begin() -> Self {
        let systems = Upstreams::start(Credentials::default()).await.unwrap();
        let host = HostBuilder::default().open(systems.lab).start().await;
        for version in [&MODEST, &NEXT] {
            host.operate(Method::POST, "/packages", patched(version)).await.expect(201);
        }
        let admin = host.tenant("acme").await.token.clone();
        let body = json!({ "tenant": "acme", "role": "developer", "note": "" }).to_string();
        let made = host.operate(Method::POST, "/tokens", body).await.expect(201).json();
        let developer = made["token"].as_str().unwrap().to_owned();
        let story = Self { host, systems, admin, developer };
        story.user(&story.admin).writes("old.yaml", &story.document("0.1.0"));
        story.user(&story.admin).writes("new.yaml", &story.document("0.2.0"));
        story.user(&story.admin).types(&["apply", "-f", "old.yaml"]).await.exit(0);
        story
    }

    fn user(&self, token: &str) -> User {
        User::of(&self.host, token)
    }

    fn lab(&self) -> String {
        format!("http://{}", self.systems.lab)
    }

    fn document(&self, version: &str) -> String {
        let connection = Connection::new("crm", &format!("probe/fetch@{version}")).open_hooks();
        connection.config("base-url", self.lab()).grant_http("http://a.b").yaml()
    }

    /// What the connector gets of the outside system.
    async fn reaches(&self) -> Value {
        let acme = self.host.tenant_with("acme", &self.admin);
        acme.call("crm", "go", json!({ "url": format!("{}/count", self.lab()) })).await.expect(200).json()
    }
}

#[tokio::test]
async fn an_upgrade_that_asks_for_more_waits_for_an_admin_while_the_old_version_serves() {
    let mut story = Story::begin().await;
    let (admin, developer) = (story.user(&story.admin), story.user(&story.developer));
    let ask = format!("send any request to {}", story.lab());

    let checked = developer.types(&["check", "new.yaml"]).await.exit(0);
    assert!(checked.out.contains(&ask), "{checked:?}");
    let applied = developer.types(&["apply", "-f", "new.yaml"]).await.exit(0);
    assert!(applied.out.contains("connection crm: pending") && applied.out.contains(&ask), "{applied:?}");
    let refused = story.reaches().await["error"].to_string();
    assert!(refused.contains("does not ask for it"), "the old version serves: {refused}");
    let listed = developer.types(&["get", "connection"]).await.exit(0);
    assert!(listed.out.contains("waits") && listed.out.contains("probe/fetch@0.1.0"), "{listed:?}");

    // Killed at once after: what was said to wait, waits.
    story.host.kill();
    let doctor = admin.types(&["doctor", "--data", "data"]).await.exit(0);
    assert!(doctor.out.contains("a change of connection `crm` waits for consent"), "{doctor:?}");
    story.host.restart();
    let (admin, developer) = (story.user(&story.admin), story.user(&story.developer));
    assert!(story.reaches().await["error"].is_string());

    let shown = admin.types(&["consent", "connection", "crm"]).await.exit(1);
    assert!(shown.out.contains("from probe/fetch@0.1.0 to probe/fetch@0.2.0"), "{shown:?}");
    assert!(shown.out.contains(&ask), "{shown:?}");
    let digest = shown.err.rsplit("--yes ").next().unwrap().trim().to_owned();
    let yes = ["consent", "connection", "crm", "--yes", &digest];
    let denied = developer.types(&yes).await.exit(3);
    assert!(denied.err.contains("operator or admin"), "{denied:?}");
    assert!(story.reaches().await["error"].is_string());
    assert_eq!(story.systems.lab_received().len(), 0, "nothing went out before somebody consented");

    admin.types(&yes).await.exit(0);
    assert_eq!(story.reaches().await["status"], 200);
    story.host.kill();
    story.host.restart();
    assert_eq!(story.reaches().await["status"], 200, "consent is durable");
    let (admin, developer) = (story.user(&story.admin), story.user(&story.developer));
    let again = developer.types(&["apply", "-f", "new.yaml"]).await.exit(0);
    assert!(again.out.contains("unchanged"), "{again:?}");

    admin.types(&["consent", "connection", "crm", "--withdraw"]).await.exit(0);
    let refused = story.reaches().await["error"].to_string();
    assert!(refused.contains("does not list it under grants"), "{refused}");
}

#[tokio::test]
async fn what_somebody_consents_to_is_what_they_were_shown() {
    let story = Story::begin().await;
    let (admin, developer) = (story.user(&story.admin), story.user(&story.developer));
    developer.types(&["apply", "-f", "new.yaml"]).await.exit(0);
    let shown = admin.types(&["consent", "connection", "crm"]).await.exit(1);
    let digest = shown.err.rsplit("--yes ").next().unwrap().trim().to_owned();
    developer.writes("new.yaml", &story.document("0.2.0").replace("http://a.b", "http://c.d"));
    developer.types(&["apply", "-f", "new.yaml"]).await.exit(0);
    let stale = admin.types(&["consent", "connection", "crm", "--yes", &digest]).await.exit(1);
    assert!(stale.err.contains("not what you were shown"), "{stale:?}");
    assert!(story.reaches().await["error"].is_string());

    // Applying the old document drops what waits.
    let dropped = developer.types(&["apply", "-f", "old.yaml"]).await.exit(0);
    assert!(dropped.out.contains("dropped"), "{dropped:?}");
    let nothing = admin.types(&["consent", "connection", "crm"]).await.exit(0);
    assert!(nothing.out.contains("nothing of connection crm waits"), "{nothing:?}");
}

#[tokio::test]
async fn a_version_that_asks_for_more_cannot_be_put_under_a_number_that_is_taken() {
    let story = Story::begin().await;
    let sneaky = std::fs::read(probe("fetch")).unwrap(); // 0.1.0 again, asking for more
    let refused = story.host.operate(Method::POST, "/packages", sneaky).await.expect(409);
    assert_eq!(refused.code(), "version-exists");
}

#[tokio::test]
async fn what_the_operator_forbids_ends_being_served_and_a_run_of_it_that_waits_fails() {
    let mut host = HostBuilder::default().start().await;
    for package in ["echo", "workflow-sleep"] {
        host.publish(probe(package)).await.expect(201);
    }
    let acme = host.tenant("acme").await;
    acme.apply(&Connection::probe("echo").open_hooks().yaml()).await;
    let roles = "roles: { target: echo, other: echo }";
    acme.apply(&format!("kind: workflow\nname: nap\npackage: probe/workflow-sleep@0.1.0\n{roles}\n")).await;
    acme.call("echo", "go", json!("before")).await.expect(200);
    let start = host.request(Method::POST, "/run/acme/nap").bearer_auth(&acme.token);
    let start = start.header("prefer", "respond-async").json(&json!({ "ms": 500 }));
    let run = host.ask(start).await.expect(202).json()["run"].as_str().unwrap().to_owned();
    let token = acme.token.clone();
    drop(acme);

    host.kill();
    let config = host.folder().join("wharf.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[packages]\nforbidden = [\"probe/*\"]\n")).unwrap();
    host.restart();
    let acme = host.tenant_with("acme", &token);
    let refused = acme.call("echo", "go", json!("after")).await;
    assert!((400..500).contains(&refused.status) && refused.text.contains("forbid"), "{refused:?}");
    host.ask(host.request(Method::POST, "/hooks/acme/echo/hook").body("x")).await.expect(404);
    let ended = acme.ended(&run).await;
    assert_eq!(ended["run"]["status"], "failed", "{ended}");
    assert!(ended["run"]["outcome"].to_string().contains("forbid"), "{ended}");
    host.publish(probe("kv")).await.expect(403);

    // Allowed again, it is as it was.
    drop(acme);
    host.kill();
    std::fs::write(&config, text).unwrap();
    host.restart();
    host.tenant_with("acme", &token).call("echo", "go", json!("again")).await.expect(200);
}
