//! The memory of a host with a thousand compiled connectors that do nothing.

use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use host_capabilities::{Capabilities, KvQuota};
use host_egress::{Egress, EgressConfig, MasterKey, Vault};
use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_model::resource::{Connection, ConnectionSpec, Package};
use host_sandbox::{EngineSettings, Sandbox, Settings, Source};
use host_server::SystemClock;
use host_store::MemoryStore;
use wasm_encoder::{ComponentSection, CustomSection};

use crate::figures::Figures;
use crate::process;

const CONNECTORS: usize = 1_000;

/// Many different connectors, ready to be called.
pub(crate) struct Fleet {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) connections: Vec<Arc<Connection>>,
}

/// The same connector under many digests: each differs in a custom section.
struct Variants(Bytes, Vec<Digest>);

impl Variants {
    fn content(&self, number: usize) -> Bytes {
        let mut component = self.0.to_vec();
        let data = number.to_string();
        CustomSection { name: "variant".into(), data: data.as_bytes().into() }
            .append_to_component(&mut component);
        component.into()
    }
}

impl Source for Variants {
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        let number = self.1.iter().position(|known| *known == digest);
        Box::pin(async move { Ok(number.map(|number| self.content(number))) })
    }
}

/// Compiles and loads `count` connectors in a sandbox of this process.
pub(crate) async fn fleet(count: usize) -> anyhow::Result<Fleet> {
    let component =
        std::fs::read(tests_harness::probe("lead-transform")).context("run `make guests` first")?;
    let mut variants = Variants(component.into(), Vec::new());
    variants.1 = (0..count).map(|number| Digest::of(&variants.content(number))).collect();
    let verified = registry::verify(&variants.0)?;
    let manifest = Arc::new(verified.manifest);
    let digests = variants.1.clone();

    // Kept between runs: compiling a thousand components takes a while.
    let data = std::path::absolute("target/bench/fleet")?;
    std::fs::create_dir_all(&data)?;
    let store = Arc::new(MemoryStore::default());
    let vault = Arc::new(Vault::new(store.clone(), MasterKey::generate()?));
    let capabilities = Capabilities {
        store,
        egress: Arc::new(Egress::new(EgressConfig::default(), vault, Arc::new(SystemClock))?),
        clock: Arc::new(SystemClock),
        kv_quota: KvQuota::default(),
    };
    let settings = Settings {
        engine: EngineSettings::default(),
        artefacts: data.join("artefacts"),
        compiler: tests_harness::wharf(),
        tolls: Arc::new(()),
    };
    let sandbox = Arc::new(Sandbox::start(settings, Arc::new(capabilities), Arc::new(variants))?);
    let mut connections = Vec::new();
    for digest in digests {
        let package = Package { package: manifest.package(), digest, manifest: Arc::clone(&manifest) };
        sandbox.load(&package).await?;
        let spec = ConnectionSpec {
            name: "bench".parse()?,
            package: manifest.package(),
            config: Default::default(),
            credentials: Default::default(),
            grants: Default::default(),
            bounds: Default::default(),
            egress: Default::default(),
            verify: None,
        };
        connections.push(Arc::new(Connection::resolve("acme".parse()?, spec, package, &Bounds::default())?));
    }
    Ok(Fleet { sandbox, connections })
}

pub(crate) fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("idle: a host with {CONNECTORS} compiled connectors");
    let child = || Command::new(std::env::current_exe()?).arg("idle-child").output();
    child()?; // compiles what is not in the cache yet; what is measured is a host that starts with it
    rustix::fs::sync(); // code that was just written cannot leave memory before it is on the disk
    let output = child()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    figures.set("idle_1000_connectors_mb", String::from_utf8_lossy(&output.stdout).trim().parse()?);
    Ok(())
}

/// The child: loads them, prints its resident megabytes.
#[tokio::main]
pub(crate) async fn child() -> anyhow::Result<()> {
    let fleet = fleet(CONNECTORS).await?;
    println!("{}", process::resident_mb(std::process::id())?);
    drop(fleet);
    Ok(())
}
