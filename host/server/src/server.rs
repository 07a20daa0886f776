//! A host with everything embedded: made, served, drained.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures::future::join_all;
use host_admission::{Admission, Quotas};
use host_audit::Audit;
use host_capabilities::Capabilities;
use host_control::{Catalog, Ceilings, Control, Outlet, Reader, Tokens};
use host_egress::{Egress, EgressConfig, Vault};
use host_ingress::{Cores, Drained, Listener};
use host_model::bounds::Bounds;
use host_model::clock::Clock;
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_routing::{Routes, Snapshot};
use host_runs::Runs;
use host_sandbox::{Sandbox, Settings, Source};
use host_schedules::{Schedule, ScheduleSet, Scheduler};
use host_store::{Blobs, SledStore, Store};
use registry::{Registry, TrustedKeys};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorize::{Authorizing, Callback};
use crate::border::Border;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::fire::AcceptedFires;
use crate::guests::SandboxedGuests;
use crate::health::Health;
use crate::master_keys::KeyRotation;
use crate::notices::{self, Told};
use crate::ports;
use crate::quotas::{self, Kept, UsageView};
use crate::repair::RunsRepair;
use crate::stages::Stages;
use crate::step_tests::StepTested;
use crate::tls::TlsListener;
use crate::verification::{Logged, Verification};
use crate::vitals::{self, Vitals};

/// The store's folder below the data folder.
pub(crate) const STORE: &str = "store";
/// The folder of components and manifests beside it.
pub(crate) const BLOBS: &str = "blobs";

/// A host that serves.
pub struct Server {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    operator_token: Option<String>,
    http: Vec<tokio::task::JoinHandle<Drained>>,
    /// Longer than `http`: connections to outside systems that a request opened
    /// live on its core, and runs use them, too.
    cores: Arc<Cores>,
    admission: Arc<Admission>,
    runs: Arc<Runs>,
    sandbox: Arc<Sandbox>,
    stop_serving: CancellationToken,
    stop_background: CancellationToken,
    background: TaskTracker,
}

impl Server {
    /// Opens the data folder, takes up what a crash left, and listens.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let data = config.data.clone();
        let folder = |name: &str| data.join(name);
        fs::create_dir_all(&config.data)
            .with_context(|| format!("cannot make `{}`", config.data.display()))?;
        fs::set_permissions(&config.data, fs::Permissions::from_mode(0o700))?;

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sled = Arc::new(SledStore::open(&folder(STORE))?);
        let store: Arc<dyn Store> = sled.clone();
        let blobs = Blobs::open(&folder(BLOBS))?;
        warn_of_unsigned(&config.publishers);
        let registry = Registry::new(Arc::clone(&store), blobs.clone(), Arc::clone(&clock));
        let registry = registry.trusting(config.publishers);
        crate::builtin::publish(&registry).await?;
        let vault = Arc::new(Vault::new(Arc::clone(&store), config.secrets.load_or_create().await?));
        let routes = Arc::new(Routes::default());
        let kept = Kept { store: Arc::clone(&sled), routes: Arc::clone(&routes) };
        let (told, untold) = Told::new();
        let quotas = Quotas::new(config.quotas, Arc::clone(&clock), Arc::new(kept), Arc::clone(&told) as _);
        let vitals = Arc::new(Vitals::new(config.reserves, vitals::machine(&config.data)));
        let toll = quotas.clone();
        let egress = EgressConfig {
            policy: config.policy,
            ceilings: config.ceilings,
            toll: Arc::new(move |tenant| toll.outbound(tenant).map_err(|passed| passed.to_string())),
            notices: told,
            ..EgressConfig::default()
        };
        let egress = Arc::new(Egress::new(egress, Arc::clone(&vault), Arc::clone(&clock))?);
        let capabilities = Capabilities {
            store: Arc::clone(&store),
            egress: Arc::clone(&egress),
            clock: Arc::clone(&clock),
            kv_quota: config.kv,
        };
        let settings = Settings {
            engine: config.engine,
            artefacts: config.artefacts,
            compiler: config.compiler,
            tolls: Arc::new(quotas::Tolled(quotas.clone())),
        };
        let components = Arc::new(Components(registry.clone()));
        let sandbox = Arc::new(Sandbox::start(settings, Arc::new(capabilities), components)?);

        let admission = Arc::new(Admission::new(config.admission));
        let border = Arc::new(Border::new(Arc::clone(&routes), Arc::clone(&egress)));
        let guests = Arc::new(SandboxedGuests {
            sandbox: Arc::clone(&sandbox),
            admission: Arc::clone(&admission),
            routes: Arc::clone(&routes),
            registry: registry.clone(),
            clock: Arc::clone(&clock),
            border: Arc::clone(&border),
            quotas: quotas.clone(),
            vitals: Arc::clone(&vitals),
            forbidden: config.forbidden.clone(),
            evaluator: tokio::sync::OnceCell::new(),
        });
        // Connections wait until it serves; the address is known to what is made before.
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener
            .with_context(|| format!("cannot listen on {}: is another host there?", config.listen))?;
        let address = listener.local_addr()?;
        let over_tls = match &config.tls {
            Some(tls) => Some(listen_tls(tls).await?),
            None => None,
        };
        let tls_address = over_tls.as_ref().map(|listener| listener.socket.local_addr()).transpose()?;
        let public_url = config.public_url.unwrap_or_else(|| format!("http://{address}"));
        let settings = host_runs::Settings { public_url: public_url.clone().into(), ..config.runs };
        let runs = Runs::new(
            Arc::clone(&store),
            Blobs::open(&folder("payloads"))?,
            blobs.clone(),
            Arc::clone(&clock),
            Arc::clone(&guests) as _,
            settings,
        );

        let fires = AcceptedFires {
            routes: Arc::clone(&routes),
            runs: Arc::clone(&runs),
            border: Arc::clone(&border),
        };
        let scheduler = Scheduler::new(Arc::clone(&store), Arc::clone(&clock), Arc::new(fires));
        let outlet = Box::new(Serving {
            routes: Arc::clone(&routes),
            sandbox: Arc::clone(&sandbox),
            quotas: quotas.clone(),
            schedules: scheduler.schedules(),
        });
        let ceilings = Ceilings {
            connection: config.bounds.clone(),
            workflow: workflow_bounds(&config.bounds),
            forbidden: config.forbidden,
            quotas: config.quotas,
        };
        let reader =
            Reader { calls: Arc::clone(&guests) as _, registry: registry.clone(), blobs: blobs.clone() };
        let audit = Arc::new(Audit::new(Arc::clone(&store), Arc::clone(&clock), config.audit));
        let log = Arc::clone(&audit);
        let catalog =
            Catalog::open(Arc::clone(&store), log, registry.clone(), ceilings, outlet, reader).await?;

        quotas::restore(&quotas, &*store, &routes.tenants()).await?;
        runs.recover().await?;
        let (stop_background, background) = (CancellationToken::new(), TaskTracker::new());
        background.spawn(quotas::keep(quotas.clone(), Arc::clone(&store), stop_background.clone()));
        background.spawn(Arc::clone(&vitals).watch(stop_background.clone()));
        background.spawn(scheduler.run(stop_background.clone()));
        let follower = Arc::clone(&catalog);
        let stop = stop_background.clone();
        background.spawn(async move { follower.follow(stop).await });

        let (kept, stop) = (Arc::clone(&audit), stop_background.clone());
        background.spawn(async move { kept.keep(stop).await });

        let topics = Arc::new(ports::Published { guests: Arc::clone(&guests), runs: Arc::clone(&runs) });
        background.spawn(notices::publish(untold, Arc::clone(&topics) as _, stop_background.clone()));
        let tokens = Tokens::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&audit));
        let operator_token = tokens.bootstrap().await?.map(|text| text.reveal_once().to_owned());
        let entered = Arc::clone(&audit);
        let control = Control {
            audit,
            tokens: tokens.clone(),
            logins: crate::logins::logins(config.oidc, &egress, &clock, &public_url),
            catalog,
            registry,
            calls: Arc::clone(&guests) as _,
            topics,
            runs: Arc::new(ports::RunsView(Arc::clone(&runs))),
            events: Arc::new(ports::RunsView(Arc::clone(&runs))),
            repair: Arc::new(RunsRepair(Arc::clone(&runs))),
            step_tests: Arc::new(StepTested(Arc::clone(&runs))),
            usage: Arc::new(UsageView(quotas)),
            secrets: Arc::new(ports::Secrets(Arc::clone(&vault))),
            authorizations: Arc::new(Authorizing { egress: Arc::clone(&egress), public_url }),
            keys: Arc::new(KeyRotation {
                vault: Arc::clone(&vault),
                data: config.data,
                config: config.file,
                turn: Mutex::default(),
            }),
        };
        let callback = Callback {
            egress: Arc::clone(&egress),
            routes: Arc::clone(&routes),
            tokens: tokens.clone(),
            audit: entered,
        };
        let verification = Verification { vault, clock: Arc::clone(&clock), logged: Logged::default() };
        let stages = Arc::new(Stages {
            routes,
            verification,
            admission: Arc::clone(&admission),
            sandbox: Arc::clone(&sandbox),
            guests: Arc::clone(&guests),
            runs: Arc::clone(&runs),
            tokens,
            border,
            vitals: Arc::clone(&vitals),
        });
        let stop_serving = CancellationToken::new();
        let health = Health {
            admission: Arc::clone(&admission),
            sandbox: Arc::clone(&sandbox),
            store: sled,
            egress,
            metrics_by_connection: config.metrics_by_connection,
            vitals,
            tls: over_tls.as_ref().and_then(|listener| listener.tls.clone()),
            clock,
            stopping: stop_serving.clone(),
        };
        let router = Router::new()
            .merge(host_control::login_router(control.clone()))
            .merge(host_control::router(control))
            .merge(crate::authorize::router(callback))
            .merge(crate::health::router(health))
            .route("/", get(async || axum::response::Redirect::temporary("/api/v1/openapi.json")));
        let front = host_ingress::Front::new(stages, config.ingress, router).behind(config.trusted_proxies);
        let front = Arc::new(front);

        if let Some(tls) = over_tls.as_ref().and_then(|listener| listener.tls.clone()) {
            background.spawn(tls.follow(stop_background.clone()));
        }
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let cores = Cores::start(cores).context("cannot start the threads that serve connections")?;
        let cores = Arc::new(cores);
        let in_the_clear = Listener { socket: listener, tls: None };
        let listeners = [Some(in_the_clear), over_tls].into_iter().flatten();
        let serve = |listener| {
            let (cores, front) = (Arc::clone(&cores), Arc::clone(&front));
            let serving = host_ingress::serve(listener, cores, front, config.http, stop_serving.clone());
            background.spawn(serving)
        };
        let http = listeners.map(serve).collect();
        Ok(Self {
            address,
            tls_address,
            operator_token,
            http,
            cores,
            admission,
            runs,
            sandbox,
            stop_serving,
            stop_background,
            background,
        })
    }

    /// Where it listens, a line each; programs that start a host read on
    /// until the one in the clear, which comes last.
    pub fn listening(&self) -> String {
        let over_tls = self.tls_address.map(|address| format!("listening on https://{address}\n"));
        format!("{}listening on http://{}", over_tls.unwrap_or_default(), self.address)
    }

    /// The operator's token, at the very first start. Only its hash is kept.
    pub fn operator_token(&self) -> Option<&str> {
        self.operator_token.as_deref()
    }

    /// Accepts nothing more, lets what goes on come to its end, parks what
    /// waits. What was cut stays accepted and goes on at the next start.
    pub async fn drain(self, grace: Duration) -> Drained {
        self.stop_serving.cancel();
        let (http, runs, calls) =
            tokio::join!(join_all(self.http), self.runs.drain(grace), self.admission.drain(grace));
        let streams = tokio::time::timeout(grace, self.sandbox.drain()).await.is_ok();
        self.stop_background.cancel();
        self.background.close();
        self.background.wait().await;
        drop(self.cores);
        let clean = http.iter().all(|it| matches!(it, Ok(Drained::Clean))) && runs && calls && streams;
        if clean { Drained::Clean } else { Drained::TimedOut }
    }
}

/// Listens for TLS, with a certificate that can be shown.
async fn listen_tls(config: &TlsListener) -> anyhow::Result<Listener> {
    let tls = config.load().context("[tls]")?;
    let socket = TcpListener::bind(config.listen).await;
    let socket = socket
        .with_context(|| format!("[tls] cannot listen on {}: is another host there?", config.listen))?;
    Ok(Listener { socket, tls: Some(Arc::new(tls)) })
}

/// A workflow waits for connectors, so its wall time is longer.
fn workflow_bounds(ceiling: &Bounds) -> Bounds {
    let wall = ceiling.wall.max(Bounds::for_workflows().wall);
    Bounds { wall, ..ceiling.clone() }
}

fn warn_of_unsigned(publishers: &TrustedKeys) {
    if publishers.is_empty() {
        tracing::warn!(
            "packages are not checked for who made them: whoever may publish, publishes anything; name the publishers that you trust in `[packages] trusted-keys`"
        );
    }
}

/// Where the sandbox gets components from.
struct Components(Registry);

impl Source for Components {
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>> {
        Box::pin(async move { self.0.content(&digest).await.map_err(|error| error.to_string()) })
    }
}

/// Where the catalog's changes take effect.
struct Serving {
    routes: Arc<Routes>,
    sandbox: Arc<Sandbox>,
    quotas: Quotas,
    schedules: ScheduleSet,
}

impl Outlet for Serving {
    fn replace(&self, routes: Snapshot, schedules: Vec<Schedule>) {
        self.routes.replace(routes);
        let tenants = self.routes.tenants();
        let weights = tenants.iter().filter_map(|tenant| Some((tenant.name.clone(), tenant.weight?)));
        self.sandbox.weigh(weights.collect());
        quotas::set_own(&self.quotas, &tenants);
        self.schedules.replace(schedules);
    }
}
