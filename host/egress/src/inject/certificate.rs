//! A client certificate: shown to an origin in the TLS handshake, never sent
//! in a request.

use std::sync::Arc;

use host_model::digest::Digest;
use host_model::name::SecretName;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::place::unfit;
use crate::error::EgressError;

/// A certificate and its key, ready for a handshake.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Tells it from any other: sockets are shared within one only.
    pub(crate) digest: Digest,
    pub(crate) resolver: Arc<dyn ResolvesClientCert>,
}

/// Reads a certificate chain and its private key, both in PEM.
pub(super) fn identity(secret: &SecretName, pem: &str) -> Result<Identity, EgressError> {
    let wrong = |why: &str| unfit(secret, &format!("is no client certificate: {why}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|_| wrong("its PEM is damaged"))?;
    if chain.is_empty() {
        return Err(wrong("it has no CERTIFICATE"));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("it has no PRIVATE KEY"))?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|_| {
        wrong("its key is of a kind that TLS does not take, or belongs to another certificate")
    })?;
    Ok(Identity { digest: Digest::of(pem.as_bytes()), resolver: Arc::new(SingleCertAndKey::from(certified)) })
}
