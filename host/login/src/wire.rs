//! Requests to an issuer: how they leave is the host's business, how they may
//! look is ours.

use std::sync::Arc;

use bytes::Bytes;
use host_model::effects::BoxFuture;
use http::{Request, Response};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::Url;

use crate::settings::is_safe;

/// The way out. It follows no redirect, and bounds time and size of an answer.
pub trait Outside: Send + Sync + 'static {
    /// Sends a request; the text is why there is no answer.
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Bytes>, String>>;
}

/// Why an issuer gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WireError(String);

/// The way out, as the protocol's library asks it.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Arc<dyn Outside>);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = WireError;
    type Future = BoxFuture<'c, Result<HttpResponse, WireError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let to = Url::parse(&request.uri().to_string()).ok();
            if !to.as_ref().is_some_and(is_safe) {
                let to = to.map_or_else(String::new, |to| to.origin().ascii_serialization());
                return Err(WireError(format!("it names `{to}`, which is neither https nor loopback")));
            }
            let answer = self.0.send(request.map(Bytes::from)).await.map_err(WireError)?;
            if answer.status().is_redirection() {
                return Err(WireError(format!(
                    "it answers {}, and no redirect is followed",
                    answer.status()
                )));
            }
            Ok(answer.map(Vec::from))
        })
    }
}
