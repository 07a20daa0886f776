//! The two files: read together, and told apart from what they were before.

use std::path::PathBuf;
use std::sync::Arc;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// Where the host's certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM, the host's own first.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why the host's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}; `[tls]` names it, and the host's user must be able to read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No certificate, or a damaged one.
    #[error("`{}` {why}: put the host's certificate there in PEM, and after it those that vouch for it", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No usable key.
    #[error("`{}` {why}: put the certificate's private key there in PEM, without a passphrase", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// They are each something, and not a pair.
    #[error("the key in `{}` is not of the first certificate in `{}`: replace both files", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// Cannot happen with the provider that is built in.
    #[error("TLS cannot be set up")]
    Provider(#[source] Error),
}

/// What the files said.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) expires: Timestamp,
}

impl TlsFiles {
    pub(super) fn read(&self) -> Result<(Files, Digest), TlsError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source })
        };
        let files = Files { certificate: read(&self.certificate)?, key: read(&self.key)? };
        let digests = [&files.certificate, &files.key].map(|bytes| *Digest::of(bytes).as_bytes());
        Ok((files, Digest::of(digests.as_flattened())))
    }
}

impl Files {
    /// Makes something to show of what these said; `paths` is for errors.
    pub(super) fn use_for(self, paths: &TlsFiles) -> Result<Shown, TlsError> {
        let no_certificate = |why| TlsError::Certificate { path: paths.certificate.clone(), why };
        let no_key = |why| TlsError::Key { path: paths.key.clone(), why };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|_| no_certificate("is damaged PEM"))?;
        let own = chain.first().ok_or_else(|| no_certificate("has no CERTIFICATE"))?;
        let expires =
            expires(own).ok_or_else(|| no_certificate("begins with what is no X.509 certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| no_key("has no PRIVATE KEY"))?;
        let certified =
            CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    TlsError::Mismatch { key: paths.key.clone(), certificate: paths.certificate.clone() }
                }
                Error::InvalidCertificate(_) => no_certificate("begins with what is no X.509 certificate"),
                _ => no_key("has a key of a kind that TLS does not take here"),
            })?;
        Ok(Shown { key: Arc::new(certified), expires })
    }
}

fn expires(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}
