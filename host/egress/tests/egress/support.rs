//! An upstream, a connection to it, and an egress that may reach it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use host_egress::{
    Body, Egress, EgressConfig, EgressError, MasterKey, Policy, Resolver, SendLimits, Sent, Vault, empty_body,
};
use host_model::bounds::Bounds;
use host_model::clock::SimClock;
use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_model::grants::{Grants, GrantsSpec, HttpRule};
use host_model::manifest::Manifest;
use host_model::notice::Heard;
use host_model::resource::{Connection, Credential, CredentialPlace, EgressSettings, Package};
use host_store::{MemoryStore, Store};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

pub(crate) const LIMITS: SendLimits = SendLimits { timeout: Duration::from_secs(10), body_bytes: 1 << 20 };

/// A server on loopback that remembers what it saw.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Upstream {
    /// Answers each request, read whole, with what `answer` makes of it.
    pub(crate) async fn answering(
        answer: impl Fn(&Request<Bytes>) -> Response<Bytes> + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<Request<Bytes>>>>::default();
        let remembered = Arc::clone(&seen);
        let mut upstream = Self::speaking(move |socket| {
            let (answer, remembered) = (answer.clone(), Arc::clone(&remembered));
            async move {
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let (answer, remembered) = (answer.clone(), Arc::clone(&remembered));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let request = Request::from_parts(head, body);
                        let response = answer(&request).map(Full::new);
                        remembered.lock().unwrap().push(request);
                        Ok::<_, Infallible>(response)
                    }
                });
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await
                    .ok();
            }
        })
        .await;
        upstream.seen = seen;
        upstream
    }

    /// Answers everything with an empty 200.
    pub(crate) async fn quiet() -> Self {
        Self::answering(|_| Response::new(Bytes::new())).await
    }

    /// Reads a request's head and writes these pieces, each in a write of its own.
    pub(crate) async fn writing(pieces: &'static [&'static str]) -> Self {
        Self::speaking(move |mut socket| async move {
            read_head(&mut socket).await;
            for piece in pieces {
                if socket.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                socket.flush().await.ok();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }

    /// Does as it likes with each socket.
    pub(crate) async fn speaking<F: Future<Output = ()> + Send + 'static>(
        speak: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (tasks, counted) = (TaskTracker::new(), Arc::clone(&connections));
        tasks.clone().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tasks.spawn(speak(socket));
            }
        });
        Self { address, connections, seen: Arc::default() }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Request<Bytes>> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn only(&self) -> Request<Bytes> {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn origin(&self) -> String {
        self.url("")
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

pub(crate) async fn read_head(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
}

/// Answers from a script: each look-up of a name takes its next answer, the
/// last one stays.
#[derive(Clone, Default)]
pub(crate) struct Script {
    answers: Arc<Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(crate) fn says(self, host: &str, answers: &[&[&str]]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(host.to_owned(), answers.iter().map(parse).collect());
        self
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for Script {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let found = answers.get_mut(host).and_then(|answers| match answers.len() {
            0 | 1 => answers.front().cloned(),
            _ => answers.pop_front(),
        });
        Box::pin(async move { found.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// An egress, its vault, and how to ask it.
pub(crate) struct World {
    pub(crate) egress: Egress,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<SimClock>,
    master: MasterKey,
    pub(crate) heard: Arc<Heard>,
}

/// When these tests take place.
pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

impl World {
    /// An egress as it comes: nothing inside is open.
    pub(crate) fn closed() -> Self {
        Self::with(EgressConfig::default())
    }

    /// An egress that may reach these upstreams on loopback.
    pub(crate) fn open_to(upstreams: &[&Upstream]) -> Self {
        Self::with(EgressConfig { policy: opened(upstreams), ..EgressConfig::default() })
    }

    pub(crate) fn with(config: EgressConfig) -> Self {
        Self::made(
            config,
            Arc::new(MemoryStore::new()),
            MasterKey::generate().unwrap(),
            Arc::new(SimClock::at(NOW.parse().unwrap())),
        )
    }

    /// The same, on this store.
    pub(crate) fn on(store: Arc<dyn Store>, upstreams: &[&Upstream]) -> Self {
        let config = EgressConfig { policy: opened(upstreams), ..EgressConfig::default() };
        Self::made(
            config,
            store,
            MasterKey::generate().unwrap(),
            Arc::new(SimClock::at(NOW.parse().unwrap())),
        )
    }

    /// Another host with the same keys, on this store.
    pub(crate) fn host_on(&self, store: Arc<dyn Store>, upstreams: &[&Upstream]) -> Self {
        let config = EgressConfig { policy: opened(upstreams), ..EgressConfig::default() };
        Self::made(config, store, self.master.clone(), Arc::clone(&self.clock))
    }

    fn made(config: EgressConfig, store: Arc<dyn Store>, master: MasterKey, clock: Arc<SimClock>) -> Self {
        let vault = Arc::new(Vault::new(store, master.clone()));
        let heard = Arc::<Heard>::default();
        let config = EgressConfig { notices: heard.clone(), ..config };
        let egress = Egress::new(config, Arc::clone(&vault), clock.clone()).unwrap();
        Self { egress, vault, clock, master, heard }
    }

    pub(crate) async fn secret(self, tenant: &str, name: &str, value: &str) -> Self {
        self.vault.set(&tenant.parse().unwrap(), &name.parse().unwrap(), value.into()).await.unwrap();
        self
    }

    pub(crate) async fn send(&self, connection: &Arc<Connection>, request: Request<Body>) -> Sent<Bytes> {
        self.egress.send_buffered(connection, request, LIMITS).await
    }

    pub(crate) async fn get(
        &self,
        connection: &Arc<Connection>,
        url: &str,
    ) -> Result<Response<Bytes>, EgressError> {
        self.send(connection, get(url)).await.answer
    }

    /// Why a GET is denied.
    pub(crate) async fn denied(&self, connection: &Arc<Connection>, url: &str) -> String {
        match self.get(connection, url).await {
            Err(EgressError::Denied(why)) => why,
            other => panic!("{url} should be denied: {other:?}"),
        }
    }
}

pub(crate) fn opened(upstreams: &[&Upstream]) -> Policy {
    let open = upstreams.iter().map(|upstream| upstream.address.to_string().parse().unwrap());
    Policy { open: open.collect(), ..Policy::default() }
}

pub(crate) fn get(url: &str) -> Request<Body> {
    request("GET", url, &[])
}

pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(empty_body()).unwrap()
}

/// `acme`'s connection `crm`, which asks for these origins and is granted them.
pub(crate) fn granted(origins: &[&str]) -> Connection {
    let origins: Vec<_> = origins.iter().map(|origin| HttpRule::all_of(origin.parse().unwrap())).collect();
    let grants = GrantsSpec { http: origins.clone(), kv: false, ..GrantsSpec::default() };
    let manifest = "name = \"example/crm\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n";
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    Connection {
        tenant: "acme".parse().unwrap(),
        name: "crm".parse().unwrap(),
        package: Package {
            package: manifest.package(),
            digest: Digest::of(b"crm"),
            manifest: Arc::new(manifest),
        },
        config: BTreeMap::new(),
        credentials: Vec::new(),
        grants: Grants::new(origins, false, &grants),
        bounds: Bounds::default(),
        egress: EgressSettings::default(),
        verify: None,
    }
}

/// Adds a credential, the secret `key`, that goes to these origins.
pub(crate) fn bringing(mut connection: Connection, place: CredentialPlace, hosts: &[&str]) -> Connection {
    connection.credentials.push(Credential {
        name: "key".parse().unwrap(),
        secret: "key".parse().unwrap(),
        place,
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
    });
    connection
}

pub(crate) fn bearer() -> CredentialPlace {
    CredentialPlace::Header(http::header::AUTHORIZATION, "Bearer ".to_owned())
}
