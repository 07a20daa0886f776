//! Connections to the server, with TLS where the URL says so.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use url::Url;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// What sends requests.
pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for this server. With TLS it trusts the authorities that this
/// machine trusts, the company's own among them; where the machine names none,
/// those of the web.
pub(crate) fn client(server: &Url) -> Result<Client, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT));
    // The layer above looks at the scheme.
    tcp.enforce_http(false);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let native = || HttpsConnectorBuilder::new().with_provider_and_native_roots(Arc::clone(&provider));
    let https = match (server.scheme() == "https").then(native) {
        Some(Ok(builder)) => builder,
        Some(Err(_)) | None => {
            HttpsConnectorBuilder::new().with_provider_and_webpki_roots(Arc::clone(&provider))?
        }
    };
    let connector = https.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}

/// The last cause is the one that tells: "connection refused", not "client error".
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
