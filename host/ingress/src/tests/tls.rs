//! TLS on real sockets: who gets to send a request, and what is known of them then.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::sockets::{Server, patient, start_with};
use super::*;

const GET: &[u8] = b"GET /hooks/acme/form HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Who vouches for hosts here, and the folder with a host's files.
struct World {
    root: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64_STANDARD.encode(der))
}

impl World {
    fn new() -> Self {
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let world = Self { root, folder: tempfile::tempdir().unwrap() };
        world.renew();
        world
    }

    /// Writes a new certificate and its key.
    fn renew(&self) -> CertificateDer<'static> {
        let (certificate, key) = self.issue();
        std::fs::write(self.files().certificate, pem("CERTIFICATE", &certificate)).unwrap();
        std::fs::write(self.files().key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        certificate
    }

    fn issue(&self) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["wharf.test".to_owned()]).unwrap();
        (params.signed_by(&key, &self.root).unwrap().der().clone(), key)
    }

    fn files(&self) -> TlsFiles {
        let at = |name: &str| self.folder.path().join(name);
        TlsFiles { certificate: at("tls.pem"), key: at("tls.key") }
    }

    fn tls(&self) -> Arc<Tls> {
        Arc::new(Tls::load(self.files(), true).unwrap())
    }

    /// What a sender shakes hands with, showing these certificates by this key.
    fn sender(&self, shows: Option<(Vec<CertificateDer<'static>>, &KeyPair)>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match shows {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                let shown = CertifiedKey::new(chain, any_supported_type(&key).unwrap());
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
        }
    }
}

/// Stages that say how many certificates came with the request.
fn counting() -> Front<Scripted> {
    routes(Limits::default(), |inbound| async move {
        let count = inbound.certificates.map_or("none".to_owned(), |all| all.len().to_string());
        Ok(Reply::Answer(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: count.into() }))
    })
}

async fn serving(world: &World) -> Server {
    start_with(counting(), patient(), Some(world.tls())).await
}

/// The body of the answer, how the hands were shaken, and what the host showed.
async fn ask(
    server: &Server,
    config: &Arc<ClientConfig>,
) -> std::io::Result<(String, HandshakeKind, CertificateDer<'static>)> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("wharf.test").unwrap();
    let mut socket = TlsConnector::from(Arc::clone(config)).connect(name, socket).await?;
    socket.write_all(GET).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let session = socket.get_ref().1;
    let shown = session.peer_certificates().unwrap()[0].clone();
    let body = answer.rsplit("\r\n").next().unwrap().to_owned();
    Ok((body, session.handshake_kind().unwrap(), shown))
}

#[tokio::test]
async fn a_certificate_comes_with_each_request_of_its_connection_also_when_a_session_is_resumed() {
    let world = World::new();
    let server = serving(&world).await;
    let (own, key) = world.issue();
    let none = Arc::new(world.sender(None));
    let one = Arc::new(world.sender(Some((vec![own.clone()], &key))));
    let two = Arc::new(world.sender(Some((vec![own, world.root.der().clone()], &key))));
    for (config, want) in [(&none, "none"), (&one, "1"), (&two, "2")] {
        let (body, kind, _) = ask(&server, config).await.unwrap();
        assert_eq!((body.as_str(), kind), (want, HandshakeKind::Full));
        let (body, kind, _) = ask(&server, config).await.unwrap();
        assert_eq!((body.as_str(), kind), (want, HandshakeKind::Resumed));
    }
    assert_eq!(server.stopped().await, Drained::Clean);
}

#[tokio::test]
async fn a_certificate_without_its_key_and_a_heap_of_them_open_nothing() {
    let world = World::new();
    let server = serving(&world).await;
    let (own, key) = world.issue();
    let (_, other) = world.issue();
    let six = vec![own.clone(); 6];
    assert_eq!(ask(&server, &Arc::new(world.sender(Some((six, &key))))).await.unwrap().0, "6");
    for (what, chain, key) in [
        ("another key", vec![own.clone()], &other),
        ("seven", vec![own.clone(); 7], &key),
        ("garbage", vec![CertificateDer::from(vec![0x30; 300])], &key),
        ("a large one", vec![own, CertificateDer::from(vec![0; 17 << 10])], &key),
    ] {
        let refused = ask(&server, &Arc::new(world.sender(Some((chain, key))))).await;
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
    assert_eq!(ask(&server, &Arc::new(world.sender(None))).await.unwrap().0, "none");
}

#[tokio::test]
async fn a_listener_that_does_not_ask_is_shown_nothing() {
    let world = World::new();
    let tls = Arc::new(Tls::load(world.files(), false).unwrap());
    let server = start_with(counting(), patient(), Some(tls)).await;
    let (own, key) = world.issue();
    assert_eq!(ask(&server, &Arc::new(world.sender(Some((vec![own], &key))))).await.unwrap().0, "none");
}

/// A client hello of TLS 1.1: one suite of that time, no extensions.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    let mut message = vec![1, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![0x16, 0x03, 0x01, 0, message.len() as u8];
    record.extend(message);
    record
}

#[tokio::test]
async fn what_is_no_handshake_of_today_gets_no_answer() {
    let world = World::new();
    let server = serving(&world).await;
    for (what, bytes) in [
        ("TLS 1.1", hello_of_tls_1_1()),
        ("HTTP in the clear", GET.to_vec()),
        ("garbage", vec![0xff; 4_096]),
        ("a record without end", [&[0x16, 0x03, 0x01, 0xff, 0xff][..], &[0; 70_000]].concat()),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await; // ends: it is not left open
        assert!(answer.is_empty() || answer[0] == 0x15, "{what}: an alert or nothing, not {answer:?}");
    }
    assert_eq!(ask(&server, &Arc::new(world.sender(None))).await.unwrap().0, "none");
}

#[tokio::test]
async fn handshakes_that_never_end_hold_up_others_for_their_time_at_most() {
    let world = World::new();
    let few = Settings {
        handshakes: NonZeroUsize::new(2).unwrap(),
        handshake_time: Duration::from_millis(100),
        ..patient()
    };
    let server = start_with(counting(), few, Some(world.tls())).await;
    let mut stuck = Vec::new();
    for _ in 0..6 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&[0x16, 0x03]).await.unwrap();
        stuck.push(socket);
    }
    assert_eq!(ask(&server, &Arc::new(world.sender(None))).await.unwrap().0, "none");
    for mut socket in stuck {
        let _ = socket.read_to_end(&mut Vec::new()).await; // each was cut off
    }
}

#[tokio::test]
async fn a_host_that_stops_waits_for_no_handshake() {
    let world = World::new();
    let server = start_with(
        counting(),
        Settings { handshake_time: Duration::from_secs(600), ..patient() },
        Some(world.tls()),
    )
    .await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    stuck.write_all(&[0x16, 0x03]).await.unwrap();
    assert_eq!(ask(&server, &Arc::new(world.sender(None))).await.unwrap().0, "none");
    assert_eq!(server.stopped().await, Drained::Clean);
}

#[tokio::test]
async fn new_files_are_shown_from_the_next_handshake_on_and_broken_ones_never() {
    let world = World::new();
    let tls = world.tls();
    let server = start_with(counting(), patient(), Some(Arc::clone(&tls))).await;
    let shown = async || ask(&server, &Arc::new(world.sender(None))).await.unwrap().2;
    assert!(!tls.reload().unwrap(), "nothing is new");
    let second = world.renew();
    assert_ne!(shown().await, second);
    assert!(tls.reload().unwrap());
    assert_eq!(shown().await, second);

    // Half of a replacement: the key is still the old one.
    let (certificate, key) = world.issue();
    std::fs::write(world.files().certificate, pem("CERTIFICATE", &certificate)).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("tls.key") && error.contains("replace both files"), "{error}");
    assert!(!tls.reload().unwrap(), "told once");
    assert_eq!(shown().await, second);
    std::fs::remove_file(world.files().key).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("cannot read"));
    assert_eq!(shown().await, second);
    std::fs::write(world.files().key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    assert!(tls.reload().unwrap());
    assert_eq!(shown().await, certificate);
}

#[test]
fn files_that_cannot_be_used_are_told_by_name_and_with_what_to_do() {
    let world = World::new();
    let files = world.files();
    let good = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (certificate, key) = (good(&files.certificate), good(&files.key));
    let told = |path: &Path, text: &str, original: &str| {
        std::fs::write(path, text).unwrap();
        let error = Tls::load(files.clone(), true).unwrap_err().to_string();
        std::fs::write(path, original).unwrap();
        error
    };
    for (text, want) in [
        ("", "tls.pem` has no CERTIFICATE: put the host's certificate there"),
        (key.as_str(), "tls.pem` has no CERTIFICATE"),
        (&certificate.replace("END", "end"), "tls.pem` is damaged PEM"),
        (&pem("CERTIFICATE", b"x"), "tls.pem` begins with what is no X.509 certificate"),
    ] {
        let error = told(&files.certificate, text, &certificate);
        assert!(error.contains(want), "{error}");
    }
    for (text, want) in [
        ("", "tls.key` has no PRIVATE KEY: put the certificate's private key there"),
        (certificate.as_str(), "tls.key` has no PRIVATE KEY"),
        (&pem("ENCRYPTED PRIVATE KEY", b"x"), "without a passphrase"),
        (&pem("PRIVATE KEY", b"x"), "tls.key` has a key of a kind"),
    ] {
        let error = told(&files.key, text, &key);
        assert!(error.contains(want), "{error}");
    }
}
