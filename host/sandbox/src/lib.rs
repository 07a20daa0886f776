//! The sandbox: strangers' components run here, one fresh store per call.
//!
//! Takes a connection or a workflow and a request, gives back a [`Finished`]:
//! how the guest's call ended, what it used, what it logged. An `Err` means
//! that the host failed, not the guest.
//!
//! Invariants
//! - Every call has all bounds; passing one ends that call alone.
//! - Tenants share the CPU by weight, and nobody's is idle while somebody waits.
//! - Machine code is mapped only if this host made it (HMAC, host-local key).
//! - The compiler runs in a child process with its own limits.
//! - `unsafe` stands in `engine/load.rs` and `turns/way.rs` and nowhere else in the host.
//!
//! [`Finished`]: host_model::outcome::Finished

mod artefacts;
mod call;
pub mod compile;
mod connector;
mod engine;
mod lend;
mod memory;
mod prepare;
mod proxy;
mod reuse;
mod state;
mod turns;
mod wasi;
mod workflow;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use host_capabilities::Capabilities;
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_model::name::TenantId;
use host_model::outcome::{Finished, Level, LogLine};
use host_model::quota::QuotaPassed;
use host_model::resource::Package;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use turns::Turns;

pub use engine::{Allocation, EngineSettings, pooling, probe};
pub use prepare::PrepareError;
pub use proxy::StreamedAnswer;
/// What may go wrong with a streamed body.
pub use wasmtime_wasi_http::Error as BodyError;

/// The wasmtime that guests run on, with its patch level: security fixes arrive as patches.
pub const WASMTIME: &str = wasmtime_environ::VERSION;

/// Where components come from: the registry.
pub trait Source: Send + Sync + 'static {
    /// The component of this digest; `None` if there is none.
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, String>>;
}

/// What a sandbox needs to start.
pub struct Settings {
    /// The engine's sizes.
    pub engine: EngineSettings,
    /// Where compiled artefacts are kept, and `key` with which this machine's
    /// hosts authenticate them; made at the first start.
    pub artefacts: PathBuf,
    /// The program that compiles when called as `PROGRAM compile-component`.
    pub compiler: PathBuf,
    /// Asked about what calls use.
    pub tolls: Arc<dyn Tolls>,
}

/// Why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine refused its configuration, also without pooling.
    #[error("cannot make a wasm engine")]
    Engine(#[source] wasmtime::Error),
    /// The imports could not be linked.
    #[error("cannot link the host's interfaces")]
    Link(#[source] wasmtime::Error),
    /// The artefact folder or its key could not be read or made.
    #[error("cannot use the artefact cache at `{}`", path.display())]
    Artefacts {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The host failed at a call; the guest is not to blame and learns nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// The component could not be made ready.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(String),
    /// A panic in host code; the call is lost, the host goes on.
    #[error("a host function panicked")]
    Panicked,
}

/// Counts what tenants' calls use of their quotas.
pub trait Tolls: Send + Sync + 'static {
    /// A call logged so many bytes of text, which are kept if there is room.
    fn log(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed>;

    /// A call wants so many bytes of memory more: it ends if there is no room.
    fn memory(&self, tenant: &TenantId, bytes: u64) -> Result<(), QuotaPassed>;

    /// A call is over and so many bytes of its memory are free again.
    fn memory_free(&self, tenant: &TenantId, bytes: u64);
}

/// Nothing is counted.
impl Tolls for () {
    fn log(&self, _: &TenantId, _: u64) -> Result<(), QuotaPassed> {
        Ok(())
    }

    fn memory(&self, _: &TenantId, _: u64) -> Result<(), QuotaPassed> {
        Ok(())
    }

    fn memory_free(&self, _: &TenantId, _: u64) {}
}

/// Runs components.
pub struct Sandbox {
    capabilities: Arc<Capabilities>,
    prepared: prepare::PreparedComponents,
    /// One permit a pooling slot: a call waits for one instead of failing.
    call_slots: Arc<Semaphore>,
    /// Runs have slots of their own: a run waits for calls, so if both shared
    /// one set, enough runs would wait for each other for ever.
    run_slots: Arc<Semaphore>,
    allocation: Allocation,
    turns: Turns,
    tolls: Arc<dyn Tolls>,
    tasks: TaskTracker,
}

impl Sandbox {
    /// Makes the engine and opens the artefact cache.
    pub fn start(
        settings: Settings,
        capabilities: Arc<Capabilities>,
        source: Arc<dyn Source>,
    ) -> Result<Self, StartError> {
        let (engine, allocation) = engine::make(&settings.engine).map_err(StartError::Engine)?;
        let half = (settings.engine.slots as usize / 2).max(1);
        let (call_slots, run_slots) = (Arc::new(Semaphore::new(half)), Arc::new(Semaphore::new(half)));
        let artefacts = artefacts::Artefacts::open(&engine, &settings.artefacts)?;
        let compiler = compile::Compiler::new(settings.compiler);
        let linkers = prepare::Linkers::new(&engine).map_err(StartError::Link)?;
        let prepared = prepare::PreparedComponents::new(engine, linkers, artefacts, compiler, source);
        let turns = Turns::new(settings.engine.threads);
        let tasks = TaskTracker::new();
        Ok(Self {
            capabilities,
            prepared,
            call_slots,
            run_slots,
            allocation,
            turns,
            tolls: settings.tolls,
            tasks,
        })
    }

    /// How instances are allocated: for `wharf doctor` and the log.
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// What part of the CPU each tenant gets when they compete: as much as its
    /// weight is of theirs together. 100 for whom this does not name.
    pub fn weigh(&self, weights: HashMap<TenantId, NonZeroU32>) {
        self.turns.weigh(weights);
    }

    /// Runs a tenant's call, in turns with others'. Of what it logged is kept
    /// what the tenant's quota allows.
    pub(crate) async fn take_turns<F, T>(
        &self,
        tenant: Option<&TenantId>,
        call: Pin<Box<F>>,
    ) -> Result<Finished<T>, CallFailed>
    where
        F: Future<Output = Result<Finished<T>, CallFailed>> + Send + 'static,
        T: Send + 'static,
    {
        let mut finished = self.turns.run(tenant, call).await?;
        if let (Some(first), Some(tenant)) = (finished.log.first(), tenant)
            && let Err(why) =
                self.tolls.log(tenant, finished.log.iter().map(|line| line.text.len() as u64).sum())
        {
            let text = format!("{} lines are not kept: {why}", finished.log.len());
            finished.log = vec![LogLine { time: first.time, level: Level::Warn, text }];
        }
        Ok(finished)
    }

    /// Makes a package ready: compiles it if it has to be, maps and links it.
    pub async fn load(&self, package: &Package) -> Result<(), CallFailed> {
        self.prepared.ready(package).await?;
        Ok(())
    }

    /// How many components are loaded.
    pub fn loaded(&self) -> usize {
        self.prepared.len()
    }

    /// Waits for answers that are still streaming.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
