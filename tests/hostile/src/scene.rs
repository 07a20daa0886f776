//! Two tenants on one host: `mallory` sets up probes, `bystander` has an echo
//! that must answer whatever she does.

use std::pin::pin;
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use tests_harness::{Answer, Connection, Host, HostBuilder, Tenant, probe};

use crate::watch::{ALONE, Told, Watch};

pub(crate) struct Scene {
    watch: Option<Watch>, // dropped first: it looks at the host's process
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
        Self { watch: Watch::wanted(), host, mallory, bystander }
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
    pub(crate) async fn beside<T: Told>(&self, hostile: impl Future<Output = T>) -> T {
        self.base_line().await;
        let mut hostile = pin!(hostile);
        let began = Instant::now();
        let outcome = loop {
            let asked = Instant::now();
            tokio::select! {
                outcome = &mut hostile => break outcome,
                () = self.bystander_is_served() => {
                    self.watch.as_ref().inspect(|watch| watch.served(asked.elapsed()));
                }
            }
        };
        self.watch.as_ref().inspect(|watch| watch.ended(began.elapsed(), &outcome));
        self.bystander_is_served().await;
        outcome
    }

    /// How the bystander is served by this host while nothing hostile happens, if it is wanted.
    async fn base_line(&self) {
        let Some(watch) = self.watch.as_ref().filter(|watch| watch.is_new(&self.host)) else { return };
        let mut alone = Vec::with_capacity(ALONE);
        for _ in 0..ALONE {
            let asked = Instant::now();
            self.bystander_is_served().await;
            alone.push(asked.elapsed());
        }
        watch.begins(&self.host, alone);
    }

    /// Mallory calls `go` of a connection, beside the bystander, and asks for the whole report.
    pub(crate) async fn report(&self, connection: &str, input: Value) -> Value {
        let mallory = self.mallory();
        self.beside(mallory.call(connection, "go?report=true", input)).await.expect(200).json()
    }

    /// Mallory calls `go` of a connection: one of many at once, to be put beside the bystander.
    pub(crate) async fn mallory_calls(&self, connection: &str, input: Value) -> Answer {
        self.mallory().call(connection, "go", input).await
    }

    /// A stranger knocks at `hook` of a connection of mallory's, beside the bystander.
    pub(crate) async fn knock(&self, connection: &str, body: &'static str) -> Answer {
        let request = self.mallory().hook(&format!("{connection}/hook")).body(body);
        self.beside(self.host.ask(request)).await
    }

    /// A run of a workflow of mallory's, once it has ended.
    pub(crate) async fn ended_run(&self, workflow: &str, input: Value) -> Value {
        let mallory = self.mallory();
        let start = self.host.request(Method::POST, &format!("/run/mallory/{workflow}"));
        let start = start.bearer_auth(&mallory.token).header("prefer", "respond-async").json(&input);
        let answer = self.host.ask(start).await.expect(202);
        mallory.ended(answer.json()["run"].as_str().unwrap()).await
    }

    /// How many runs mallory has.
    pub(crate) async fn runs(&self) -> usize {
        let runs = self.mallory().api(Method::GET, "/runs", "").await.expect(200).json();
        runs.as_array().unwrap().len()
    }
}
