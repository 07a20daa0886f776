//! Certificates for tests, and a sender that speaks TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name of a host that [`crate::HostBuilder::tls`] starts.
pub const HOST_NAME: &str = "wharf.test";

/// Who vouches for certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64_STANDARD.encode(der))
}

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as a string of JSON or YAML.
    pub fn quoted(&self) -> String {
        serde_json::Value::from(pem("CERTIFICATE", self.0.der())).to_string()
    }

    /// A new certificate that it vouches for.
    pub fn issue(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().der().clone(), key }
    }

    /// A new certificate of a host.
    pub fn host(&self) -> Identity {
        self.issue(CertificateParams::new(vec![HOST_NAME.to_owned()]).unwrap())
    }
}

impl Identity {
    /// What a sender of this name shows, for an authority to vouch for.
    pub fn sender(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
    }

    /// One for which nobody else vouches.
    pub fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The key in PEM.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key.serialize_der())
    }
}

/// A sender that speaks TLS and remembers its sessions.
#[derive(Clone)]
pub struct Sender(Arc<ClientConfig>);

/// A connection of such a sender.
pub struct Line(TlsStream<TcpStream>);

impl Sender {
    /// Believes hosts that `root` vouches for, and shows a certificate if it has one.
    pub fn new(root: &Authority, shows: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shows {
            None => config.with_no_client_auth(),
            Some(shown) => {
                let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![shown.certificate.clone()], key).unwrap()
            }
        };
        Self(Arc::new(config))
    }

    /// Shakes hands.
    pub async fn open(&self, address: SocketAddr) -> std::io::Result<Line> {
        let socket = TcpStream::connect(address).await?;
        let name = ServerName::try_from(HOST_NAME).unwrap();
        Ok(Line(TlsConnector::from(Arc::clone(&self.0)).connect(name, socket).await?))
    }
}

impl Line {
    /// Whether an earlier session was taken up.
    pub fn resumed(&self) -> bool {
        self.0.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The host's certificate.
    pub fn shown(&self) -> CertificateDer<'static> {
        self.0.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    /// Sends a request with these header lines, each with its line's end; gives
    /// the status, the head and the body of the answer.
    pub async fn post(&mut self, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST_NAME}\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).await.unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let mut body = vec![0; field("content-length: ").map_or(0, |text| text.parse().unwrap())];
        self.0.read_exact(&mut body).await.unwrap();
        (head[9..12].parse().unwrap(), head, String::from_utf8(body).unwrap())
    }
}
