//! Keep-alive connections, one pool for each connection of each tenant, so
//! that no socket, TLS session or queue is shared between two of them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use host_model::digest::Digest;
use host_model::name::{ConnectionName, TenantId};
use host_model::resource::egress::MAX_CONCURRENCY;
use host_model::resource::{Connection, EgressSettings};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::body::Outgoing;
use crate::ceilings::Ceilings;
use crate::dial::{Connector, Dialer};
use crate::inject::Identity;
use crate::kept::{Budget, Keep};
use crate::reads::UnderWay;
use crate::scrub::{Matcher, Needles};
use crate::standing::Standing;

/// The most pools: as many connections as a host keeps warm. The one that was
/// not used for longest goes first; its connection dials anew.
const MAX_POOLS: usize = 1_000;
/// How long a socket stays open unused: below the minute after which common
/// servers and balancers close it, so that requests seldom meet a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// The most unused sockets to one origin: as many as can be in use at once, so that a steady
/// load never dials anew; the idle timeout frees them.
const MAX_IDLE: usize = MAX_CONCURRENCY as usize;
/// The most bytes of an answer's status line and headers, and so of a socket's buffer.
const MAX_HEAD: usize = 64 << 10;
/// The most headers of an answer.
const MAX_ANSWER_HEADERS: usize = 200;
/// TLS sessions that one pool may resume.
const SESSIONS: usize = 8;

/// One connection's way out.
pub(crate) struct Pool {
    pub(crate) client: Client<Connector, Outgoing>,
    pub(crate) places: Arc<Semaphore>,
    /// What it was opened for; a connection that is set up anew gets a new pool.
    pub(crate) settings: EgressSettings,
    pub(crate) standing: Mutex<Standing>,
    /// The answers that it keeps, if it does.
    pub(crate) keep: Option<Keep>,
    pub(crate) under_way: UnderWay,
    /// The matcher of exchanges under way, which mostly share their secrets.
    matcher: Mutex<(Option<Digest>, Weak<Matcher>)>,
}

impl Pool {
    /// A matcher for these needles: the one in use, if it is for the same.
    pub(crate) fn matcher(&self, needles: &Needles) -> Option<Arc<Matcher>> {
        share(&self.matcher, needles)
    }
}

fn share(matcher: &Mutex<(Option<Digest>, Weak<Matcher>)>, needles: &Needles) -> Option<Arc<Matcher>> {
    let digest = needles.digest();
    let mut shared = matcher.lock();
    if shared.0 == Some(digest)
        && let Some(matcher) = shared.1.upgrade()
    {
        return Some(matcher);
    }
    let matcher = Arc::new(needles.matcher()?);
    *shared = (Some(digest), Arc::downgrade(&matcher));
    Some(matcher)
}

/// What a slot is for.
type Key = (TenantId, ConnectionName, Option<Digest>);

/// All pools of a host.
pub(crate) struct Pools {
    dialer: Dialer,
    tls: Arc<ClientConfig>,
    tasks: TaskTracker,
    ceilings: Ceilings,
    budget: Budget,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    /// Counts up with each use; tells who was not used for longest.
    now: u64,
    by_key: HashMap<Key, (u64, Arc<Pool>)>,
}

impl Pools {
    pub(crate) fn new(dialer: Dialer, tls: ClientConfig, ceilings: Ceilings) -> Self {
        Self {
            dialer,
            tls: Arc::new(tls),
            tasks: TaskTracker::new(),
            ceilings,
            budget: Budget::of(ceilings.all_caches_bytes),
            slots: Mutex::default(),
        }
    }

    /// The pool of a connection.
    pub(crate) fn of(&self, connection: &Connection) -> Arc<Pool> {
        self.slot(connection, None)
    }

    /// The sockets of a connection that shows a client certificate: no socket
    /// with one is used for anything else.
    pub(crate) fn with_identity(&self, connection: &Connection, identity: &Identity) -> Arc<Pool> {
        self.slot(connection, Some(identity))
    }

    fn slot(&self, connection: &Connection, identity: Option<&Identity>) -> Arc<Pool> {
        let identified = identity.map(|identity| identity.digest);
        let key = (connection.tenant.clone(), connection.name.clone(), identified);
        let settings = self.settings(connection);
        let mut slots = self.slots.lock();
        slots.now += 1;
        let now = slots.now;
        if let Some((used, pool)) = slots.by_key.get_mut(&key)
            && pool.settings == settings
        {
            *used = now;
            return Arc::clone(pool);
        }
        if slots.by_key.len() >= MAX_POOLS {
            let oldest = slots.by_key.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            oldest.and_then(|key| slots.by_key.remove(&key));
        }
        let pool = Arc::new(self.open(settings, identity));
        slots.by_key.insert(key, (now, Arc::clone(&pool)));
        pool
    }

    /// Lets go of every pool and waits until what is under way is done.
    pub(crate) async fn drain(&self) {
        self.slots.lock().by_key.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// As a connection says, below the operator's ceilings.
    pub(crate) fn settings(&self, connection: &Connection) -> EgressSettings {
        self.ceilings.cap(connection.egress)
    }

    /// What runs a client's tasks, and is waited for by [`Self::drain`].
    pub(crate) fn executor(&self) -> Tracked {
        Tracked(self.tasks.clone())
    }

    fn open(&self, settings: EgressSettings, identity: Option<&Identity>) -> Pool {
        let mut tls = ClientConfig::clone(&self.tls);
        if let Some(identity) = identity {
            tls.client_auth_cert_resolver = Arc::clone(&identity.resolver);
        }
        // The roots are shared, the sessions are not.
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        let https = HttpsConnector::from((self.dialer.clone(), tls));
        let client = Client::builder(self.executor())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(MAX_HEAD)
            .http1_max_headers(MAX_ANSWER_HEADERS)
            .build(Connector { https, timeout: settings.connect });
        Pool {
            client,
            places: Arc::new(Semaphore::new(settings.concurrency as usize)),
            settings,
            standing: Mutex::default(),
            keep: settings.cache.map(|spec| Keep::new(spec, self.budget.clone())),
            under_way: UnderWay::default(),
            matcher: Mutex::default(),
        }
    }
}

/// Runs the client's tasks where somebody can wait for them.
#[derive(Clone)]
pub(crate) struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use host_model::bounds::Bounds;
    use host_model::manifest::Manifest;
    use host_model::resource::Package;

    use super::*;
    use crate::policy::Policy;
    use crate::resolve::SystemResolver;

    fn connection(name: &str) -> Connection {
        let manifest = "name = \"example/crm\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n";
        let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
        let (package, digest) = (manifest.package(), Digest::of(b"crm"));
        let package = Package { package, digest, manifest: Arc::new(manifest) };
        Connection::bare("acme".parse().unwrap(), name.parse().unwrap(), package, &Bounds::default()).unwrap()
    }

    #[tokio::test]
    async fn the_pool_that_was_not_used_for_longest_gives_way() {
        let dialer =
            Dialer { policy: Arc::new(Policy::default()), resolver: Arc::new(SystemResolver::default()) };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let pools = Pools::new(dialer, tls, Ceilings::default());
        let of = |at: usize| pools.of(&connection(&format!("c-{at}")));
        let (first, second) = (of(0), of(1));
        for at in 2..MAX_POOLS {
            of(at);
        }
        assert!(Arc::ptr_eq(&of(0), &first), "full, and nobody had to go");
        of(MAX_POOLS);
        assert_eq!(pools.slots.lock().by_key.len(), MAX_POOLS);
        assert!(Arc::ptr_eq(&of(0), &first), "used more recently than the second");
        assert!(!Arc::ptr_eq(&of(1), &second));

        let mut slower = connection("c-0");
        slower.egress.concurrency = 1;
        let anew = pools.of(&slower);
        assert!(!Arc::ptr_eq(&anew, &first), "set up anew");
        assert_eq!((anew.places.available_permits(), first.places.available_permits()), (1, 32));
    }

    #[test]
    fn exchanges_with_the_same_secrets_share_a_matcher_while_one_is_under_way() {
        let pool = |secret: &str| {
            let mut needles = Needles::default();
            needles.add_secret(secret);
            needles
        };
        let shared = Mutex::<(Option<Digest>, Weak<Matcher>)>::default();
        let first = share(&shared, &pool("hunter22")).unwrap();
        assert!(Arc::ptr_eq(&first, &share(&shared, &pool("hunter22")).unwrap()));
        let other = share(&shared, &pool("hunter23")).unwrap();
        assert!(other.finds(b"hunter23") && !other.finds(b"hunter22"));
        drop(other);
        assert!(shared.lock().1.upgrade().is_none(), "no secret stays behind");
    }
}
