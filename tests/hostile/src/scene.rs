//! Two tenants on one host: `mallory` sets up probes, `bystander` has an echo
//! that must answer whatever she does.

use std::pin::pin;

use serde_json::{Value, json};
use tests_harness::{Answer, Connection, Host, HostBuilder, Tenant, probe};

pub(crate) struct Scene {
    pub(crate) host: Host,
    mallory: String,
    bystander: String,
}

impl Scene {
    /// Each probe is published, and a connection of mallory's with its name.
    pub(crate) async fn with(probes: &[&str]) -> Self {
        Self::on(HostBuilder::default(), probes).await
    }

    pub(crate) async fn on(builder: HostBuilder, probes: &[&str]) -> Self {
        let scene = Self::empty(builder).await;
        for name in probes {
            scene.publish(name).await;
            scene.mallory().apply(&Connection::probe(name).yaml()).await;
        }
        scene
    }

    /// A host with the bystander's echo and nothing of mallory's.
    pub(crate) async fn empty(builder: HostBuilder) -> Self {
        let host = builder.start().await;
        host.publish(probe("echo")).await.expect(201);
        let bystander = host.tenant("bystander").await;
        bystander.apply(&Connection::probe("echo").yaml()).await;
        let (bystander, mallory) = (bystander.token, host.tenant("mallory").await.token);
        Self { host, mallory, bystander }
    }

    /// Publishes a probe, if it is not there yet.
    pub(crate) async fn publish(&self, name: &str) {
        let answer = self.host.publish(probe(name)).await;
        assert!(matches!(answer.status, 200 | 201), "{name}: {answer:?}");
    }

    pub(crate) fn mallory(&self) -> Tenant<'_> {
        self.host.tenant_with("mallory", &self.mallory)
    }

    pub(crate) fn bystander(&self) -> Tenant<'_> {
        self.host.tenant_with("bystander", &self.bystander)
    }

    /// The bystander calls, and is answered.
    pub(crate) async fn bystander_is_served(&self) {
        let answer = self.bystander().call("echo", "go", json!("still here")).await.expect(200);
        assert_eq!(answer.text, "\"still here\"");
    }

    /// Does something hostile. The bystander calls meanwhile, again and again,
    /// and once more afterwards; each of its calls must be answered.
    pub(crate) async fn beside<T>(&self, hostile: impl Future<Output = T>) -> T {
        let mut hostile = pin!(hostile);
        let outcome = loop {
            tokio::select! {
                outcome = &mut hostile => break outcome,
                () = self.bystander_is_served() => {}
            }
        };
        self.bystander_is_served().await;
        outcome
    }

    /// Mallory calls `go` of a connection, beside the bystander, and asks for the whole report.
    pub(crate) async fn report(&self, connection: &str, input: Value) -> Value {
        let mallory = self.mallory();
        self.beside(mallory.call(connection, "go?report=true", input)).await.expect(200).json()
    }

    /// A stranger knocks at `hook` of a connection of mallory's, beside the bystander.
    pub(crate) async fn knock(&self, connection: &str, body: &'static str) -> Answer {
        let request = self.mallory().hook(&format!("{connection}/hook")).body(body);
        self.beside(self.host.ask(request)).await
    }

    /// How many runs mallory has.
    pub(crate) async fn runs(&self) -> usize {
        let runs = self.mallory().api(reqwest::Method::GET, "/runs", "").await.expect(200).json();
        runs.as_array().unwrap().len()
    }
}
