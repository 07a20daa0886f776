//! From a digest to something that can be called: find or compile, map, link
//! once. A call then only instantiates.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use host_capabilities::bindings::connector::ConnectorPre;
use host_capabilities::bindings::workflow::WorkflowPre;
use host_model::digest::Digest;
use host_model::manifest::World;
use host_model::resource::Package;
use parking_lot::RwLock;
use tokio::sync::OnceCell;
use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, Linker};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::Source;
use crate::artefacts::Artefacts;
use crate::compile::{CompileError, Compiler};
use crate::engine;
use crate::state::State;

/// Components loaded at once; beyond it the one unused for longest goes. A
/// loaded lean component costs some 15 KB, an interpreter's more.
const MAX_LOADED: usize = 10_000;
/// The interface that a connector exports.
const ENDPOINTS: &str = "wharf:endpoints/endpoints@0.1.0";
/// Its function for inbound requests.
const RECEIVE: &str = "receive";

/// Why a component could not be made ready to run.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The registry does not have it.
    #[error("the registry has no content {0}")]
    Missing(Digest),
    /// The registry failed.
    #[error("cannot read content {digest}: {why}")]
    Source {
        /// Of what.
        digest: Digest,
        /// Why.
        why: String,
    },
    /// It does not compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The artefact cache failed.
    #[error("cannot use the cached artefact of {digest}")]
    Artefact {
        /// Of what.
        digest: Digest,
        /// Why.
        source: std::io::Error,
    },
    /// It imports what its world does not offer, lacks an export, or does not fit the engine.
    #[error("the component does not fit its world: {0}")]
    Link(String),
}

/// A component, linked for its world.
pub(crate) enum Prepared {
    Connector(LinkedConnector),
    Workflow(WorkflowPre<State>),
    Proxy(ProxyPre<State>),
}

/// A connector, and where its hottest export is: what is generated looks up all
/// four exports and checks their types at each call.
pub(crate) struct LinkedConnector {
    pub(crate) pre: ConnectorPre<State>,
    pub(crate) receive: ComponentExportIndex,
}

impl LinkedConnector {
    fn new(pre: ConnectorPre<State>) -> wasmtime::Result<Self> {
        let component = pre.instance_pre().component();
        let endpoints = component.get_export_index(None, ENDPOINTS);
        let receive = endpoints.and_then(|endpoints| component.get_export_index(Some(&endpoints), RECEIVE));
        let receive =
            receive.ok_or_else(|| wasmtime::Error::msg(format!("no `{RECEIVE}` in `{ENDPOINTS}`")))?;
        Ok(Self { pre, receive })
    }
}

/// What each world offers.
pub(crate) struct Linkers {
    connector: Linker<State>,
    workflow: Linker<State>,
    proxy: Linker<State>,
}

impl Linkers {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut connector = Linker::new(engine);
        host_capabilities::link_connector(&mut connector)?;
        let mut proxy = Linker::new(engine);
        for linker in [&mut connector, &mut proxy] {
            wasmtime_wasi::p2::add_to_linker_async(linker)?;
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
            crate::wasi::meter(linker)?;
        }
        let mut workflow = Linker::new(engine);
        host_capabilities::link_workflow(&mut workflow)?;
        Ok(Self { connector, workflow, proxy })
    }

    fn link(&self, world: World, component: &Component) -> wasmtime::Result<Prepared> {
        Ok(match world {
            World::Connector => {
                let pre = ConnectorPre::new(self.connector.instantiate_pre(component)?)?;
                Prepared::Connector(LinkedConnector::new(pre)?)
            }
            World::Workflow => {
                Prepared::Workflow(WorkflowPre::new(self.workflow.instantiate_pre(component)?)?)
            }
            World::HttpProxy => Prepared::Proxy(ProxyPre::new(self.proxy.instantiate_pre(component)?)?),
        })
    }
}

/// One loaded component, or one that is being loaded.
#[derive(Default)]
struct Entry {
    prepared: OnceCell<Prepared>,
    /// How many loads had begun at the last use.
    used: AtomicU64,
}

/// Everything that is loaded.
pub(crate) struct PreparedComponents {
    pub(crate) engine: Engine,
    linkers: Linkers,
    artefacts: Arc<Artefacts>,
    compiler: Compiler,
    source: Arc<dyn Source>,
    entries: RwLock<HashMap<Digest, Arc<Entry>>>,
    /// Counts loads, not calls: only a load asks who was unused for longest,
    /// and calls would all write to it.
    loads: AtomicU64,
}

/// A component held ready for one call.
pub(crate) struct Ready(Arc<Entry>);

impl Ready {
    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        self.0.prepared.get()
    }
}

impl PreparedComponents {
    pub(crate) fn new(
        engine: Engine,
        linkers: Linkers,
        artefacts: Artefacts,
        compiler: Compiler,
        source: Arc<dyn Source>,
    ) -> Self {
        let artefacts = Arc::new(artefacts);
        Self {
            engine,
            linkers,
            artefacts,
            compiler,
            source,
            entries: RwLock::default(),
            loads: AtomicU64::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().len()
    }

    /// The component of a package, loaded at most once however many ask.
    pub(crate) async fn ready(&self, package: &Package) -> Result<Ready, PrepareError> {
        self.ready_from(package, None).await
    }

    /// The same for a package that the registry may not have yet.
    pub(crate) async fn ready_from(
        &self,
        package: &Package,
        component: Option<Bytes>,
    ) -> Result<Ready, PrepareError> {
        let entry = self.entry(package.digest);
        entry
            .prepared
            .get_or_try_init(|| self.load(package.digest, package.manifest.world, component))
            .await?;
        Ok(Ready(entry))
    }

    fn entry(&self, digest: Digest) -> Arc<Entry> {
        let found = self.entries.read().get(&digest).cloned();
        let entry = found.unwrap_or_else(|| {
            let mut entries = self.entries.write();
            if entries.len() >= MAX_LOADED && !entries.contains_key(&digest) {
                let oldest = entries.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed));
                if let Some(digest) = oldest.map(|(digest, _)| *digest) {
                    entries.remove(&digest);
                }
            }
            self.loads.fetch_add(1, Ordering::Relaxed);
            Arc::clone(entries.entry(digest).or_default())
        });
        let now = self.loads.load(Ordering::Relaxed);
        if entry.used.load(Ordering::Relaxed) != now {
            entry.used.store(now, Ordering::Relaxed);
        }
        entry
    }

    async fn load(
        &self,
        digest: Digest,
        world: World,
        given: Option<Bytes>,
    ) -> Result<Prepared, PrepareError> {
        let component = match self.map_cached(digest).await? {
            Some(component) => component,
            None => {
                let content = match given {
                    Some(content) => content,
                    None => {
                        let content = self.source.component(digest).await;
                        let content = content.map_err(|why| PrepareError::Source { digest, why })?;
                        content.ok_or(PrepareError::Missing(digest))?
                    }
                };
                let code = self.compiler.compile(content).await?;
                self.keep_and_map(digest, code).await?
            }
        };
        self.linkers.link(world, &component).map_err(|error| PrepareError::Link(format!("{error:#}")))
    }

    async fn map_cached(&self, digest: Digest) -> Result<Option<Component>, PrepareError> {
        let (artefacts, engine) = (Arc::clone(&self.artefacts), self.engine.clone());
        off_the_workers(digest, move || match artefacts.find(&digest)? {
            // An artefact of ours that does not map is stale, not evil: compile again.
            Some(artefact) => Ok(engine::load(&engine, &artefact).ok()),
            None => Ok(None),
        })
        .await
    }

    async fn keep_and_map(&self, digest: Digest, code: Vec<u8>) -> Result<Component, PrepareError> {
        let (artefacts, engine) = (Arc::clone(&self.artefacts), self.engine.clone());
        let mapped =
            off_the_workers(digest, move || Ok(engine::load(&engine, &artefacts.keep(&digest, &code)?)))
                .await?;
        mapped.map_err(|error| PrepareError::Link(format!("{error:#}")))
    }
}

/// Runs file work where it blocks nobody.
async fn off_the_workers<T: Send + 'static>(
    digest: Digest,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, PrepareError> {
    let done =
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    done.map_err(|source| PrepareError::Artefact { digest, source })
}
