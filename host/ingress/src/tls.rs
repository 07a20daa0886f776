//! TLS of a listener: which certificate it shows, and which it is shown.
//!
//! Takes two files and gives what shakes hands. The files may be replaced
//! while it serves; what cannot be used leaves in use what is.
//!
//! Invariants
//! - A sender's certificate is taken only with proof that it holds the key.
//!   Whether anybody vouches for it is nobody's business here.
//! - Nothing of a request is read before the handshake is over.

mod asks;
mod files;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::asks::Asks;
use self::files::Shown;
pub use self::files::{TlsError, TlsFiles};

/// How often the files are looked at: soon enough for whoever replaced them,
/// and nothing beside what a host does in that time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The client certificate of a connection whose other end holds the key, and
/// what was sent along to vouch for it.
pub type Certificates = Arc<[CertificateDer<'static>]>;

/// TLS for a listener.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: Arc<Current>,
    /// Of the files that were looked at last, usable or not.
    seen: Mutex<Digest>,
    config: Arc<ServerConfig>,
}

/// What is shown at the moment.
#[derive(Debug)]
struct Current(ArcSwap<Shown>);

impl Tls {
    /// TLS with the certificate in these files. Senders are asked for one of
    /// their own if `asks`; none has to have one.
    pub fn load(files: TlsFiles, asks: bool) -> Result<Self, TlsError> {
        let (shown, seen) = files.read()?;
        let current = Arc::new(Current(ArcSwap::from_pointee(shown.use_for(&files)?)));
        let provider = Arc::new(default_provider());
        let verifier = if asks { Arc::new(Asks::new(&provider)) as _ } else { Arc::new(NoClientAuth) as _ };
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(TlsError::Provider)?.with_client_cert_verifier(verifier);
        let mut config = config.with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, current, seen: Mutex::new(seen), config: Arc::new(config) })
    }

    /// When the certificate that is shown is over.
    pub fn expires(&self) -> Timestamp {
        self.current.0.load().expires
    }

    /// Looks at the files again; says whether there is something new, which
    /// is shown from the next handshake on. The same fault is told once.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let (read, seen) = self.files.read()?;
        let mut last = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen == std::mem::replace(&mut *last, seen) {
            return Ok(false);
        }
        self.current.0.store(Arc::new(read.use_for(&self.files)?));
        Ok(true)
    }

    /// Looks at the files until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut told = None;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let tls = Arc::clone(&self);
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else { continue };
            match reloaded {
                Ok(false) => {}
                Ok(true) => {
                    told = None;
                    tracing::info!(expires = %self.expires(), "shows a new TLS certificate");
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::error!("the TLS certificate stays as it was: {error}");
                    }
                    told = Some(error);
                }
            }
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}
