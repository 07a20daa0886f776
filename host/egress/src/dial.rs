//! The second gate, where the socket is made: a name becomes addresses, each
//! is judged, and only those that passed are dialled.
//!
//! It sits below the pool, so there is no way to a socket around it.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::body::BoxError;
use crate::policy::{Denied, Policy, gate, opening_for};
use crate::resolve::Resolver;

/// How long one address may take, so that a dead first one leaves time for the next.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// The most addresses that are dialled; all are judged.
const MAX_DIALLED: usize = 4;
/// The most addresses that a name may have: what one large DNS answer holds.
const MAX_ADDRESSES: usize = 256;

/// Why there is no socket. The texts may be shown to the guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{}", explain(host, *port, denied))]
    Denied { host: String, port: u16, denied: Denied },
    #[error("`{host}` cannot be looked up: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("`{host}` has {count} addresses; 1 to {MAX_ADDRESSES} are expected")]
    Addresses { host: String, count: usize },
    #[error("`{host}` port {port} cannot be reached: {source}")]
    Connect { host: String, port: u16, source: io::Error },
    #[error("no connection within {} ms", .0.as_millis())]
    Timeout(Duration),
}

/// What would open it. An address is shown only to whoever wrote it: what a
/// name resolves to inside is none of a guest's business.
fn explain(host: &str, port: u16, denied: &Denied) -> String {
    let literal = host.parse::<IpAddr>().is_ok();
    match denied {
        Denied::Inside { address, .. } if literal => format!(
            "{denied}; the operator opens it with `open = [\"{}\"]` under [egress]",
            opening_for(*address, port)
        ),
        Denied::Inside { what, .. } => format!(
            "`{host}` resolves to an address that is not public ({what}); the operator opens its range and port {port} with `open` under [egress]"
        ),
        Denied::Closed(_) if !literal => {
            format!("`{host}` resolves to an address that the operator closed (egress: deny)")
        }
        Denied::Closed(_) | Denied::Host(_) => denied.to_string(),
    }
}

/// Dials what passes the second gate. One per pool.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) policy: Arc<Policy>,
    pub(crate) resolver: Arc<dyn Resolver>,
}

impl Dialer {
    pub(crate) async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, DialError> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });

        let resolved = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => match self.resolver.resolve(&host).await {
                Ok(resolved) => resolved,
                Err(source) => return Err(DialError::Resolve { host, source }),
            },
        };
        if resolved.is_empty() || resolved.len() > MAX_ADDRESSES {
            return Err(DialError::Addresses { host, count: resolved.len() });
        }
        let gated = match gate(&resolved, port, &self.policy) {
            Ok(gated) => gated,
            Err(denied) => {
                tracing::warn!(egress.host = %host, egress.port = port, why = %denied, "refused to dial `{host}`: {denied}");
                return Err(DialError::Denied { host, port, denied });
            }
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in gated.into_iter().take(MAX_DIALLED) {
            let dialled = tokio::time::timeout(ADDRESS_TIMEOUT, TcpStream::connect((address, port)));
            match dialled.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(socket) => {
                    // Requests are written whole; waiting for more to send only delays them.
                    socket.set_nodelay(true).ok();
                    return Ok(TokioIo::new(socket));
                }
                Err(error) => last = error,
            }
        }
        Err(DialError::Connect { host, port, source: last })
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}

/// A [`Dialer`] with TLS on top, both within the connect timeout. The pool
/// finishes a connection even if its request was given up, so the bound is here.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) https: HttpsConnector<Dialer>,
    /// How long look-up, connection and TLS may take together.
    pub(crate) timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, timeout) = (self.https.call(uri), self.timeout);
        Box::pin(async move {
            tokio::time::timeout(timeout, connecting)
                .await
                .unwrap_or_else(|_| Err(DialError::Timeout(timeout).into()))
        })
    }
}
