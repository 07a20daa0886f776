//! One exchange, from a guest's request to the answer it may see.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_model::resource::Connection;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use crate::answer::{AnswerBody, Terms, take_in};
use crate::body::{Body, Broken, Outgoing};
use crate::dial::{DialError, Dialer};
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::gate::clear;
use crate::inject::{Injected, inject};
use crate::policy::Policy;
use crate::pool::Pools;
use crate::resolve::{Resolver, SystemResolver};
use crate::vault::Vault;

/// What a host's egress is made of. The default reaches public addresses
/// only, by the system's resolver, and trusts Mozilla's root certificates.
pub struct EgressConfig {
    /// What the operator opened and closed.
    pub policy: Policy,
    /// Who looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Root certificates that are trusted besides Mozilla's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            resolver: Arc::new(SystemResolver::default()),
            extra_roots: Vec::new(),
        }
    }
}

/// Why egress could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EgressSetupError {
    /// An extra root certificate is none.
    #[error("extra root certificate {number} cannot be used: {source}")]
    Root {
        /// Its place in the list, from 1.
        number: usize,
        /// The cause.
        source: rustls::Error,
    },
    /// TLS has no usable configuration.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// What one exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLimits {
    /// From the call to the last byte of the answer's body.
    pub timeout: Duration,
    /// Bytes of the request's body, and of the answer's.
    pub body_bytes: u64,
}

/// An exchange's outcome, and its record for the run's log, which is there
/// whatever the outcome.
#[derive(Debug)]
pub struct Sent<B> {
    /// The answer, or why there is none.
    pub answer: Result<Response<B>, EgressError>,
    /// What was asked of whom.
    pub exchange: Exchange,
}

/// The one way out.
pub struct Egress {
    policy: Arc<Policy>,
    vault: Arc<Vault>,
    pools: Pools,
}

impl Egress {
    /// Sets it up; nothing is dialled yet.
    pub fn new(config: EgressConfig, vault: Arc<Vault>) -> Result<Self, EgressSetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for (at, root) in config.extra_roots.into_iter().enumerate() {
            roots.add(root).map_err(|source| EgressSetupError::Root { number: at + 1, source })?;
        }
        // Named here, since the process holds two providers and neither is the default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(EgressSetupError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let policy = Arc::new(config.policy);
        let dialer = Dialer { policy: Arc::clone(&policy), resolver: config.resolver };
        Ok(Self { policy, vault, pools: Pools::new(dialer, tls) })
    }

    /// Sends a guest's request for its connection. Redirects are not followed:
    /// a guest that wants to go there asks again, through both gates.
    pub async fn send(
        &self,
        connection: &Arc<Connection>,
        request: Request<Body>,
        limits: SendLimits,
    ) -> Sent<AnswerBody> {
        let exchange = Exchange::begin(request.method(), request.uri());
        let deadline = Instant::now().checked_add(limits.timeout).unwrap_or_else(far_future);
        let answered = Box::pin(self.exchange(connection, request, limits, deadline, &exchange));
        let answer = timeout_at(deadline, answered).await.unwrap_or(Err(EgressError::Timeout));
        if let Err(error) = &answer {
            exchange.ended();
            let origin = exchange.info().origin.map(|origin| origin.to_string()).unwrap_or_default();
            let (tenant, connection) = (&connection.tenant, &connection.name);
            tracing::info!(tenant.id = %tenant, connection.name = %connection, egress.origin = origin, %error, "no answer from `{origin}` for connection `{connection}`: {error}");
        }
        Sent { answer, exchange }
    }

    /// [`Self::send`], and the whole body.
    pub async fn send_buffered(
        &self,
        connection: &Arc<Connection>,
        request: Request<Body>,
        limits: SendLimits,
    ) -> Sent<Bytes> {
        let Sent { answer, exchange } = self.send(connection, request, limits).await;
        let answer = match answer {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                body.collect().await.map(|body| Response::from_parts(head, body.to_bytes()))
            }
            Err(error) => Err(error),
        };
        Sent { answer, exchange }
    }

    /// Lets go of unused sockets and waits for exchanges under way. For the
    /// end of the host.
    pub async fn drain(&self) {
        self.pools.drain().await;
    }

    /// The life of one exchange.
    async fn exchange(
        &self,
        connection: &Connection,
        request: Request<Body>,
        limits: SendLimits,
        deadline: Instant,
        exchange: &Exchange,
    ) -> Result<Response<AnswerBody>, EgressError> {
        let cleared = clear(connection, &self.policy, request, exchange)?; // may it name this origin
        let pool = self.pools.of(&connection.tenant, &connection.name);
        let place = Arc::clone(&pool.places).acquire_owned().await;
        let place = place.map_err(|_| EgressError::Other("the host is stopping".into()))?;
        let Injected { request, needles } = inject(connection, &self.vault, cleared).await?;
        let matcher = needles.and_then(|needles| pool.matcher(&needles));
        let request = request.map(|body| Outgoing::new(body, limits.body_bytes, deadline, exchange.clone()));
        let response = pool.client.request(request).await.map_err(explain)?; // second gate, in `dial`
        let body_bytes = limits.body_bytes;
        take_in(response, Terms { deadline, body_bytes, matcher, exchange: exchange.clone(), place })
    }
}

/// Longer than any call; an addition that overflows means no timeout in fact.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(30 * 24 * 3600)
}

/// What went wrong below the client. Looks for our own errors in the chain;
/// the others say what they say without quoting a header or a URL.
fn explain(error: legacy::Error) -> EgressError {
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        match cause.downcast_ref::<DialError>() {
            Some(denied @ DialError::Denied { .. }) => return EgressError::Denied(denied.to_string()),
            Some(failed) => return EgressError::ConnectionFailed(failed.to_string()),
            None => {}
        }
        if let Some(broken) = cause.downcast_ref::<Broken>() {
            return match broken {
                Broken::TooLarge(_) => EgressError::InvalidRequest(broken.to_string()),
                Broken::ByGuest(_) => EgressError::Other(broken.to_string()),
                Broken::Late => EgressError::Timeout,
            };
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    let what = if error.is_connect() { "no connection" } else { "the connection broke" };
    EgressError::ConnectionFailed(format!("{what}: {cause}"))
}
