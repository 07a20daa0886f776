//! The host's own requests: to what the operator names in its config, such as
//! an issuer of logins. No grants apply, for nobody but the operator chose where
//! they go; the second gate does, so nothing inside is reached that is not open.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;

use crate::client::{Egress, SendLimits};
use crate::dial::Connector;
use crate::error::EgressError;
use crate::journey::explain;

/// How long look-up, connection and TLS may take together.
const CONNECT: Duration = Duration::from_secs(5);

impl Egress {
    /// Sends a request of the host itself over `https`, or over `http` to loopback
    /// that the operator opened. A redirect is an answer like any other: it is
    /// not followed. Such requests are rare, so no socket is kept.
    pub async fn send_own(
        &self,
        request: Request<Bytes>,
        limits: SendLimits,
    ) -> Result<Response<Bytes>, EgressError> {
        let SendLimits { timeout, body_bytes } = limits;
        let https = HttpsConnector::from((self.0.dialer.clone(), self.0.tls.as_ref().clone()));
        let client = Client::builder(self.0.pools.executor())
            .pool_max_idle_per_host(0)
            .build(Connector { https, timeout: CONNECT });
        let limit = usize::try_from(body_bytes).unwrap_or(usize::MAX);
        let answered = async {
            let response = client.request(request.map(Full::new)).await.map_err(explain)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(|_| {
                EgressError::ConnectionFailed(format!("its answer broke off or is over {limit} bytes"))
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(timeout, answered).await.unwrap_or(Err(EgressError::Timeout))
    }
}
