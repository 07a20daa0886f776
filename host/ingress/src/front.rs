//! From a request to the stages and back. Reading order is request order;
//! there is no middleware, and hooks and runs pass no router: one look at the
//! path tells them from the rest.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use host_model::http_types::Peer;
use host_model::resource::verify::IpRange;
use http::{Method, Request};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower_service::Service;

use crate::alarm::Alarm;
use crate::peer::sender;
use crate::reply::Audience;
use crate::{Address, Certificates, Inbound, Limits, Refusal, Reply};

/// What comes after ingress: routing, admission, runs, the sandbox.
pub trait Stages: Send + Sync + 'static {
    /// The rest of one request's life. Dropped if the caller goes away.
    fn serve(&self, inbound: Inbound) -> impl Future<Output = Result<Reply, Refusal>> + Send;
}

/// The other end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) address: Option<IpAddr>,
    pub(crate) certificates: Option<Certificates>,
}

/// Everything that a request may want: `/hooks/…` (any method), `/run/…`
/// and `/events/…` (POST) go to the stages, the rest to a router.
pub struct Front<S> {
    stages: Arc<S>,
    limits: Limits,
    proxies: Vec<IpRange>,
    rest: Router,
    runtime: Handle,
}

impl<S: Stages> Front<S> {
    /// A front before these stages and this router. Call it in the tokio runtime
    /// that is to do the router's work.
    pub fn new(stages: Arc<S>, limits: Limits, rest: Router) -> Self {
        let (rest, runtime) = (rest.fallback(no_route), Handle::current());
        Self { stages, limits, proxies: Vec::new(), rest, runtime }
    }

    /// Behind proxies at these addresses, whose word on who sent a request counts.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpRange>) -> Self {
        Self { proxies, ..self }
    }

    /// Answers one request of a connection, whose time limits ring `alarm`.
    pub(crate) async fn answer<B>(&self, request: Request<B>, caller: Caller, alarm: &Alarm) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        match Address::of(request.uri().path()) {
            Some(_) => self.stage(request.map(Body::new), caller, alarm).await,
            None => self.route(self.with_peer(request, caller.address)).await,
        }
    }

    /// The rest is not done on the core: a large change of a tenant's documents
    /// takes long, and hooks would wait for it.
    async fn route<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let answering = self.runtime.spawn(self.rest.clone().call(request));
        // Dropped if the caller goes away.
        match AbortOnDropHandle::new(answering).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => Refusal::internal("the router panicked; the message is on stderr").into_response(),
        }
    }

    /// Says beside the request who sent it.
    fn with_peer<B>(&self, mut request: Request<B>, socket: Option<IpAddr>) -> Request<B> {
        let peer = socket.and_then(|socket| sender(socket, request.headers(), &self.proxies));
        if let Some(peer) = peer {
            request.extensions_mut().insert(Peer(peer));
        }
        request
    }

    async fn stage(&self, request: Request<Body>, caller: Caller, alarm: &Alarm) -> Response {
        let address = caller.address.and_then(|socket| sender(socket, request.headers(), &self.proxies));
        let caller = Caller { address, ..caller };
        let inbound = match Inbound::new(request, caller, &self.limits, alarm.clone()) {
            Ok(inbound) => inbound,
            Err(refusal) => return refusal.into_response(),
        };
        let prefer = inbound.prefer;
        let audience = match inbound.address() {
            Ok(Address::Run { .. } | Address::Event { .. }) if inbound.method != Method::POST => {
                return Refusal::MethodNotAllowed { allow: "POST" }.into_response();
            }
            Ok(Address::Run { .. }) => Audience::Holder,
            _ => Audience::Anybody,
        };
        // A panic costs its own request. Nothing of it is used again but what
        // other requests share already.
        match AssertUnwindSafe(self.stages.serve(inbound)).catch_unwind().await {
            Ok(Ok(reply)) => reply.into_response(prefer, audience),
            Ok(Err(refusal)) => refusal.into_response(),
            Err(_) => Refusal::internal("a stage panicked; the message is on stderr").into_response(),
        }
    }
}

/// For paths that nothing serves: the same answer as for unknown names.
async fn no_route() -> Response {
    Refusal::NoRoute.into_response()
}
