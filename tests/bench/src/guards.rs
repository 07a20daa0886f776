//! What two guards cost: throughput with the guard over throughput without it,
//! in turn, in this process.
//!
//! - Fuel: the 1 KB transform in a fresh instance of wasmtime's, the host's own
//!   engine in all else. Nothing of the host around it, so this is the most
//!   that fuel can be noticed.
//! - Egress: the same request to the same upstream through all of `host/egress`
//!   (quota, both gates, the connection's limits, the way back scrubbed and
//!   bounded, the record), and from a bare client with kept connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures::future::try_join_all;
use host_capabilities::bindings::connector::ConnectorPre;
use host_capabilities::bindings::connector::exports::wharf::endpoints::endpoints::InboundRequest;
use host_capabilities::bindings::connector::wharf::types::types::Header;
use host_egress::{Egress, EgressConfig, MasterKey, Policy, SendLimits, Vault, full_body};
use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::grants::{Grants, GrantsSpec, HttpRule};
use host_model::manifest::Manifest;
use host_model::resource::{Connection, EgressSettings, Package};
use host_sandbox::EngineSettings;
use host_server::SystemClock;
use host_store::MemoryStore;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use crate::figures::{Figures, median};
use crate::native;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(700);
/// Exchanges under way at once, as from so many calls of one connection.
const CALLERS: usize = 8;
/// What a call of the host is given, and how often it gives way.
const FUEL: u64 = 100_000_000;
const YIELD_EVERY: u64 = 1_000_000;

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("guards: with over without");
    let (metered, unmetered) = (Guest::new(true)?, Guest::new(false)?);
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let (with, without) = (metered.rate().await?, unmetered.rate().await?);
        if round > 0 {
            println!("  fuel: {with:.0} calls a second with, {without:.0} without");
            ratios.push(with / without);
        }
    }
    figures.set("guard_cost_fuel", median(ratios));

    let upstream = native::Process::start()?;
    let url = format!("http://{}/lead", upstream.address);
    let (gate, bare) = (Gated::new(&url)?, Client::builder(TokioExecutor::new()).build_http());
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let with = rate(async || gate.send().await).await?;
        let without = rate(async || {
            let answer = bare.request(request(&url).map(Full::new)).await?;
            Ok(answer.into_body().collect().await?.to_bytes())
        })
        .await?;
        if round > 0 {
            println!("  egress: {with:.0} exchanges a second with, {without:.0} without");
            ratios.push(with / without);
        }
    }
    figures.set("guard_cost_egress_gate", median(ratios));
    Ok(())
}

/// The connector `lead-transform` in wasmtime, and nothing around it.
struct Guest {
    engine: Engine,
    connector: ConnectorPre<()>,
    metered: bool,
}

impl Guest {
    fn new(metered: bool) -> anyhow::Result<Self> {
        let mut config = host_sandbox::pooling(&EngineSettings::default());
        config.consume_fuel(metered);
        let engine = Engine::new(&config)?;
        let file = tests_harness::probe("lead-transform");
        let component = Component::new(&engine, std::fs::read(file).context("run `make guests` first")?)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?; // it imports how to panic, and does not
        let connector = ConnectorPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, connector, metered })
    }

    /// Calls a second, each in a fresh instance.
    async fn rate(&self) -> anyhow::Result<f64> {
        let request = InboundRequest {
            endpoint: "transform".to_owned(),
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers: vec![Header { name: "content-type".to_owned(), value: b"application/json".to_vec() }],
            body: native::lead().into_bytes(),
        };
        let (began, mut calls) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            for _ in 0..50 {
                let mut store = Store::new(&self.engine, ());
                if self.metered {
                    store.set_fuel(FUEL)?;
                    store.fuel_async_yield_interval(Some(YIELD_EVERY))?;
                }
                let guest = self.connector.instantiate_async(&mut store).await?;
                let received = guest.wharf_endpoints_endpoints().call_receive(&mut store, &request).await?;
                anyhow::ensure!(received.is_ok(), "{received:?}");
                calls += 1;
            }
        }
        Ok(f64::from(calls) / began.elapsed().as_secs_f64())
    }
}

/// Egress, and a connection that may reach the upstream.
struct Gated {
    egress: Egress,
    connection: Arc<Connection>,
    url: String,
}

impl Gated {
    fn new(url: &str) -> anyhow::Result<Self> {
        let origin = url.trim_end_matches("/lead");
        let address = origin.trim_start_matches("http://");
        let policy = Policy { open: vec![address.parse()?], ..Policy::default() };
        let vault = Arc::new(Vault::new(Arc::new(MemoryStore::new()), MasterKey::generate()?));
        let config = EgressConfig { policy, ..EgressConfig::default() };
        let egress = Egress::new(config, vault, Arc::new(SystemClock))?;
        let rule = HttpRule::all_of(origin.parse()?);
        let spec = GrantsSpec { http: vec![rule.clone()], ..GrantsSpec::default() };
        let manifest =
            Manifest::parse(b"name = \"bench/crm\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n")?;
        let package = Package {
            package: manifest.package(),
            digest: Digest::of(b"never loaded"),
            manifest: Arc::new(manifest),
        };
        let connection = Connection {
            tenant: "acme".parse()?,
            name: "crm".parse()?,
            package,
            config: Default::default(),
            credentials: Vec::new(),
            grants: Grants::new(vec![rule], false, &spec),
            bounds: Bounds::default(),
            egress: EgressSettings::default(),
            verify: None,
        };
        Ok(Self { egress, connection: Arc::new(connection), url: url.to_owned() })
    }

    async fn send(&self) -> anyhow::Result<Bytes> {
        let limits = SendLimits { timeout: Duration::from_secs(10), body_bytes: 1 << 20 };
        let request = request(&self.url).map(full_body);
        Ok(self.egress.send_buffered(&self.connection, request, limits).await.answer?.into_body())
    }
}

fn request(url: &str) -> Request<Bytes> {
    let request = Request::builder().method(Method::POST).uri(url).header("content-type", "application/json");
    request.body(native::lead().into()).unwrap()
}

/// Exchanges a second, from several callers at once.
async fn rate(exchange: impl AsyncFn() -> anyhow::Result<Bytes>) -> anyhow::Result<f64> {
    let began = Instant::now();
    let counts = try_join_all((0..CALLERS).map(async |_| {
        let mut count = 0_u32;
        while began.elapsed() < ROUND {
            let answer = exchange().await?;
            anyhow::ensure!(!answer.is_empty(), "an empty answer");
            count += 1;
        }
        anyhow::Ok(count)
    }))
    .await?;
    Ok(f64::from(counts.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
}
