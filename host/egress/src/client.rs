//! The one way out: how it is set up, and how it is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_model::clock::Clock;
use host_model::name::TenantId;
use host_model::notice::Notices;
use host_model::resource::{Connection, EgressSettings};
use http::{Request, Response};
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, timeout_at};

use crate::answer::{AnswerBody, far_future};
use crate::body::Body;
use crate::ceilings::Ceilings;
use crate::dial::Dialer;
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::inject::Injector;
use crate::journey::Journey;
use crate::mail::{self, Mail, MailError};
use crate::meters::Meters;
use crate::oauth::Oauth;
use crate::policy::Policy;
use crate::pool::Pools;
use crate::resolve::{Resolver, SystemResolver};
use crate::vault::Vault;

/// What a host's egress is made of. The default reaches public addresses
/// only, by the system's resolver, and trusts Mozilla's root certificates.
pub struct EgressConfig {
    /// What the operator opened and closed.
    pub policy: Policy,
    /// What any connection may have at most.
    pub ceilings: Ceilings,
    /// Who looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Root certificates that are trusted besides Mozilla's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Any number, for the pauses between tries.
    pub dice: fn() -> u64,
    /// Counts each request against its tenant's quota.
    pub toll: Toll,
    /// Who tells a tenant that a connection needs authorization.
    pub notices: Arc<dyn Notices>,
}

/// Counts one request of a tenant; the text is why there may be no more.
pub type Toll = Arc<dyn Fn(&TenantId) -> Result<(), String> + Send + Sync>;

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            ceilings: Ceilings::default(),
            resolver: Arc::new(SystemResolver::default()),
            extra_roots: Vec::new(),
            // Without randomness pauses are short, which harms less than no retry.
            dice: || getrandom::u64().unwrap_or_default(),
            toll: Arc::new(|_| Ok(())),
            notices: Arc::new(()),
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

impl SendLimits {
    /// When an exchange that begins now must be over: the connection may lower its time.
    pub(crate) fn deadline(&self, settings: EgressSettings) -> Instant {
        let timeout = settings.total.map_or(self.timeout, |total| total.min(self.timeout));
        Instant::now().checked_add(timeout).unwrap_or_else(far_future)
    }
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
pub struct Egress(pub(crate) Arc<Way>);

/// What every journey needs.
pub(crate) struct Way {
    pub(crate) policy: Arc<Policy>,
    pub(crate) injector: Injector,
    pub(crate) pools: Arc<Pools>,
    pub(crate) dialer: Dialer,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) dice: fn() -> u64,
    pub(crate) meters: Meters,
    pub(crate) toll: Toll,
}

impl Way {
    /// How a connection's requests behave.
    pub(crate) fn settings(&self, connection: &Connection) -> EgressSettings {
        self.pools.settings(connection)
    }
}

impl Egress {
    /// Sets it up; nothing is dialled yet.
    pub fn new(
        config: EgressConfig,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EgressSetupError> {
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
        let pools = Arc::new(Pools::new(dialer.clone(), tls.clone(), config.ceilings));
        let oauth = Oauth::new(
            Arc::clone(&vault),
            Arc::clone(&clock),
            Arc::clone(&policy),
            Arc::clone(&pools),
            config.notices,
        );
        let injector = Injector { vault, clock, oauth: Arc::new(oauth) };
        let (tls, dice, meters, toll) = (Arc::new(tls), config.dice, Meters::default(), config.toll);
        Ok(Self(Arc::new(Way { policy, injector, pools, dialer, tls, dice, meters, toll })))
    }

    /// Sends a guest's request for its connection, as its settings say.
    pub async fn send(
        &self,
        connection: &Arc<Connection>,
        request: Request<Body>,
        limits: SendLimits,
    ) -> Sent<AnswerBody> {
        let exchange = Exchange::begin(request.method(), request.uri());
        let answer = self.send_as(&exchange, connection, request, limits).await;
        Sent { answer, exchange }
    }

    /// [`Self::send`] for who wants the record also if it stops waiting.
    pub async fn send_as(
        &self,
        exchange: &Exchange,
        connection: &Arc<Connection>,
        request: Request<Body>,
        limits: SendLimits,
    ) -> Result<Response<AnswerBody>, EgressError> {
        let deadline = limits.deadline(self.0.settings(connection));
        let body_bytes = limits.body_bytes;
        let (way, connection) = (Arc::clone(&self.0), Arc::clone(connection));
        let toll = (self.0.toll)(&connection.tenant).map_err(EgressError::Denied);
        let journey = Journey { way, connection, deadline, body_bytes, exchange: exchange.clone() };
        let answer = match toll {
            Ok(()) => {
                let answered = Box::pin(journey.answer(request));
                timeout_at(deadline, answered).await.unwrap_or(Err(EgressError::Timeout))
            }
            Err(passed) => Err(passed),
        };
        if let Err(error) = &answer {
            exchange.ended();
            let origin = exchange.info().origin.map(|origin| origin.to_string()).unwrap_or_default();
            let (tenant, connection) = (&journey.connection.tenant, &journey.connection.name);
            tracing::info!(tenant.id = %tenant, connection.name = %connection, egress.origin = origin, %error, "no answer from `{origin}` for connection `{connection}`: {error}");
        }
        self.0.meters.count(&journey.connection, &exchange.info(), answer.is_err());
        answer
    }

    /// What all exchanges came to, in Prometheus' text format; if `by_connection`,
    /// also by tenant and connection.
    pub fn metrics(&self, by_connection: bool) -> String {
        self.0.meters.text(by_connection)
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

    /// Hands a guest's mail to a server, for its connection.
    pub async fn send_mail(
        &self,
        connection: &Arc<Connection>,
        server: &str,
        mail: Mail,
        limits: SendLimits,
    ) -> (Result<String, MailError>, Exchange) {
        mail::send(&self.0, connection, server, mail, limits).await
    }

    /// Lets go of unused sockets and waits for exchanges under way. For the
    /// end of the host.
    pub async fn drain(&self) {
        self.0.injector.oauth.drain().await;
        self.0.pools.drain().await;
    }
}
