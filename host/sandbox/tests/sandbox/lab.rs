//! A sandbox in this process: components from memory, a store in memory, a
//! real egress, and connections without a host around them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host_capabilities::{Capabilities, KvQuota};
use host_egress::{Egress, EgressConfig, MasterKey, Policy, Vault};
use host_model::bounds::Bounds;
use host_model::clock::SimClock;
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_model::manifest::Manifest;
use host_model::outcome::{Bound, Exceeded, Finished, Outcome};
use host_model::resource::{Connection, ConnectionSpec, Package};
use host_sandbox::{CallFailed, EngineSettings, Sandbox, Settings, Source, Tolls};
use host_store::MemoryStore;
use serde_json::json;

/// Components by digest.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<Digest, Bytes>>);

impl Source for Shelf {
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        let found = self.0.lock().unwrap().get(&digest).cloned();
        Box::pin(async move { Ok(found) })
    }
}

pub(crate) struct Lab {
    pub(crate) sandbox: Arc<Sandbox>,
    /// The one origin that its connections are granted.
    upstream: String,
    shelf: Arc<Shelf>,
}

/// Compiled components are kept for the next test and the next time.
pub(crate) fn shared_cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("artefacts")
}

/// `wharf`, which compiles: beside this test, built by `cargo build --bins`.
pub(crate) fn compiler() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.join("wharf").is_file());
    folder.expect("`wharf` is built: run `make test`, or `cargo build --bins` first").join("wharf")
}

pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// A probe's component, as `make guests` leaves it.
pub(crate) fn probe(name: &str) -> Bytes {
    let path = target().join(format!("wasm32-unknown-unknown/guest/examples/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|_| panic!("no `{}`: run `make guests` first", path.display())).into()
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::with(
            EngineSettings { slots: 64, warm_slots: 64, ..EngineSettings::default() },
            &shared_cache(),
            compiler(),
        )
    }

    pub(crate) fn slots(slots: u32) -> Self {
        Self::with(
            EngineSettings { slots, warm_slots: slots, ..EngineSettings::default() },
            &shared_cache(),
            compiler(),
        )
    }

    pub(crate) fn with(engine: EngineSettings, artefacts: &Path, compiler: PathBuf) -> Self {
        Self::tolled(engine, artefacts, compiler, Arc::new(()))
    }

    /// Where this counts what calls use.
    pub(crate) fn tolled(
        engine: EngineSettings,
        artefacts: &Path,
        compiler: PathBuf,
        tolls: Arc<dyn Tolls>,
    ) -> Self {
        let store = Arc::new(MemoryStore::default());
        let vault = Arc::new(Vault::new(store.clone(), MasterKey::generate().unwrap()));
        let policy = Policy { open: vec!["127.0.0.0/8".parse().unwrap()], ..Policy::default() };
        let clock = Arc::new(SimClock::at("2026-11-21T12:00:00Z".parse().unwrap()));
        let config = EgressConfig { policy, ..EgressConfig::default() };
        let egress = Egress::new(config, vault, clock.clone()).unwrap();
        let capabilities =
            Arc::new(Capabilities { store, egress: Arc::new(egress), clock, kv_quota: KvQuota::default() });
        let settings = Settings { engine, artefacts: artefacts.to_owned(), compiler, tolls };
        let shelf = Arc::new(Shelf::default());
        let sandbox = Sandbox::start(settings, capabilities, shelf.clone()).unwrap();
        Self { sandbox: Arc::new(sandbox), upstream: "http://127.0.0.1:1".to_owned(), shelf }
    }

    /// Grants this address instead of one where nobody is.
    pub(crate) fn reaching(self, address: SocketAddr) -> Self {
        Self { upstream: format!("http://{address}"), ..self }
    }

    pub(crate) fn package(&self, world: &str, component: Bytes) -> Package {
        let digest = Digest::of(&component);
        self.shelf.0.lock().unwrap().insert(digest, component);
        let manifest = format!(
            "name = \"probe/guest\"\nversion = \"0.1.0\"\nworld = \"{world}\"\n{}",
            match world {
                "connector" =>
                    "[endpoints.go]\ndirection = \"outbound\"\n[config.base-url]\nkind = \"url\"\n[grants]\nkv = true\nhttp = [\"{base-url}\"]\n",
                "workflow" => "[roles.target]\nendpoints = [\"go\"]\n",
                _ => "",
            }
        );
        let manifest = Arc::new(Manifest::parse(manifest.as_bytes()).unwrap());
        Package { package: manifest.package(), digest, manifest }
    }

    pub(crate) fn connection(&self, world: &str, component: Bytes, bounds: Bounds) -> Arc<Connection> {
        let package = self.package(world, component);
        let grants = json!({ "kv": true, "http": [self.upstream] });
        let config = json!({ "base-url": self.upstream });
        let spec: ConnectionSpec = serde_json::from_value(json!({
            "name": "guest", "package": "probe/guest@0.1.0",
            "grants": if world == "connector" { grants } else { json!({}) },
            "config": if world == "connector" { config } else { json!({}) },
        }))
        .unwrap();
        let connection = Connection::resolve("acme".parse().unwrap(), spec, package, &Bounds::default());
        Arc::new(Connection { bounds, ..connection.unwrap() })
    }

    /// Calls a connector's `go`.
    pub(crate) async fn go(&self, component: Bytes, bounds: Bounds, input: &str) -> Finished<String> {
        self.try_go(component, bounds, input).await.unwrap()
    }

    pub(crate) async fn try_go(
        &self,
        component: Bytes,
        bounds: Bounds,
        input: &str,
    ) -> Result<Finished<String>, CallFailed> {
        let connection = self.connection("connector", component, bounds);
        self.sandbox.call(&connection, "go", input, "key").await
    }

    /// Another guest of the same sandbox is as well as ever.
    pub(crate) async fn a_neighbour_is_well(&self) {
        let finished = self.go(probe("echo"), Bounds::default(), "\"well?\"").await;
        assert_eq!(finished.outcome, Outcome::Answered("\"well?\"".to_owned()));
    }
}

/// Which bound ended a call.
#[track_caller]
pub(crate) fn exceeded<T: std::fmt::Debug>(finished: &Finished<T>) -> Exceeded {
    match finished.outcome {
        Outcome::Exceeded(exceeded) => exceeded,
        _ => panic!("it passed no bound: {finished:?}"),
    }
}

/// This bound with this limit ended it, and it wanted no less.
#[track_caller]
pub(crate) fn passed<T: std::fmt::Debug>(finished: &Finished<T>, bound: Bound, limit: u64) {
    let exceeded = exceeded(finished);
    assert_eq!((exceeded.bound, exceeded.limit), (bound, limit), "{finished:?}");
    assert!(exceeded.used >= limit, "{exceeded:?}");
}

/// Fuel and wall time without end, for what must be stopped by another bound.
pub(crate) fn patient() -> Bounds {
    Bounds { fuel: u64::MAX / 4, wall: Duration::from_secs(60), ..Bounds::default() }
}

/// One message for a workflow.
pub(crate) static MESSAGE: LazyLock<host_model::message::Message> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "id": "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "source": "/run", "kind": "probe", "subject": null,
        "time": "2026-11-21T12:00:00Z",
        "data": "[{\"role\":\"target\",\"endpoint\":\"go\",\"input\":1}]",
    }))
    .unwrap()
});
