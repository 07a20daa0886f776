//! From a request to the stages and back. Reading order is request order;
//! there is no middleware.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::FutureExt;
use http::Method;

use crate::reply::Audience;
use crate::{Address, Inbound, Limits, Refusal, Reply};

/// What comes after ingress: routing, admission, runs, the sandbox.
pub trait Stages: Send + Sync + 'static {
    /// The rest of one request's life. Dropped if the caller goes away.
    fn serve(&self, inbound: Inbound) -> impl Future<Output = Result<Reply, Refusal>> + Send;
}

struct Ingress<S> {
    stages: Arc<S>,
    limits: Limits,
}

/// The routes `/hooks/…` (any method) and `/run/…` (POST), to be merged with others.
pub fn router<S: Stages>(stages: Arc<S>, limits: Limits) -> Router {
    Router::new()
        .route("/hooks/{tenant}/{connection}", any(answer::<S>))
        // `{*rest}` is never empty, and a trailing slash is a path of its own.
        .route("/hooks/{tenant}/{connection}/", any(answer::<S>))
        .route("/hooks/{tenant}/{connection}/{*rest}", any(answer::<S>))
        .route("/run/{tenant}/{workflow}", any(answer::<S>))
        .with_state(Arc::new(Ingress { stages, limits }))
}

/// The fallback for paths that nothing serves: the same answer as for unknown names.
pub async fn no_route() -> Response {
    Refusal::NoRoute.into_response()
}

async fn answer<S: Stages>(State(ingress): State<Arc<Ingress<S>>>, request: Request) -> Response {
    let inbound = match Inbound::new(request, &ingress.limits) {
        Ok(inbound) => inbound,
        Err(refusal) => return refusal.into_response(),
    };
    let prefer = inbound.prefer;
    let audience = match inbound.address() {
        Ok(Address::Run { .. }) if inbound.method != Method::POST => {
            return Refusal::MethodNotAllowed { allow: "POST" }.into_response();
        }
        Ok(Address::Run { .. }) => Audience::Holder,
        _ => Audience::Anybody,
    };
    // A panic costs its own request. Nothing of it is used again but what
    // other requests share already.
    match AssertUnwindSafe(ingress.stages.serve(inbound)).catch_unwind().await {
        Ok(Ok(reply)) => reply.into_response(prefer, audience),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => Refusal::internal("a stage panicked; the message is on stderr").into_response(),
    }
}
