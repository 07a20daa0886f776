//! HTTPS: an upstream is believed only if a trusted root vouches for its name.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use host_egress::{EgressConfig, EgressError};
use host_model::resource::CredentialPlace;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::{Script, Upstream, World, bringing, granted, opened};

/// TLS for this name, and the root that vouches for it.
pub(crate) fn certified(name: &str) -> (TlsAcceptor, CertificateDer<'static>) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), root.der().clone())
}

/// An upstream for `api.test`, and the root that vouches for it.
async fn upstream() -> (Upstream, CertificateDer<'static>) {
    let (acceptor, root) = certified("api.test");
    let upstream = Upstream::speaking(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut socket) = acceptor.accept(socket).await else { return };
            socket.read_u8().await.ok();
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsafe").await.ok();
            socket.flush().await.ok();
            socket.read_to_end(&mut Vec::new()).await.ok();
        }
    })
    .await;
    (upstream, root)
}

#[tokio::test]
async fn only_a_trusted_root_and_the_right_name_are_believed() {
    let (upstream, root) = upstream().await;
    let script = Script::default().says("api.test", &[&["127.0.0.1"]]).says("evil.test", &[&["127.0.0.1"]]);
    let world = |extra_roots| {
        World::with(EgressConfig {
            policy: opened(&[&upstream]),
            resolver: Arc::new(script.clone()),
            extra_roots,
            ..EgressConfig::default()
        })
    };
    let url = |host: &str| format!("https://{host}:{}", upstream.port());
    let crm = Arc::new(granted(&[&url("api.test"), &url("evil.test"), &url("127.0.0.1")]));

    assert_eq!(world(vec![root.clone()]).get(&crm, &url("api.test")).await.unwrap().body(), "safe");
    for (roots, host) in [(vec![], "api.test"), (vec![root.clone()], "evil.test"), (vec![root], "127.0.0.1")]
    {
        match world(roots).get(&crm, &url(host)).await {
            Err(EgressError::ConnectionFailed(why)) => assert!(why.contains("certificate"), "{why}"),
            other => panic!("{host}: {other:?}"),
        }
    }
}

/// An upstream for `api.test` and `other.test` that asks for a client
/// certificate and says whether it was shown one; and who vouches for both sides.
async fn asking() -> (Upstream, CertificateDer<'static>, impl Fn() -> String) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["api.test".to_owned(), "other.test".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let upstream = Upstream::speaking(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut socket) = acceptor.accept(socket).await else { return };
            let shown = socket.get_ref().1.peer_certificates().is_some();
            while socket.read_u8().await.is_ok() {
                // One byte was enough to know that there is a request; the rest is taken as it comes.
                let mut rest = [0; 4_096];
                let Ok(1..) = socket.read(&mut rest).await else { return };
                let said: &[u8] = if shown { b"shown" } else { b"blank" };
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.ok();
                socket.write_all(said).await.ok();
                socket.flush().await.ok();
            }
        }
    })
    .await;
    let der = root.der().clone();
    let client = move || {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["wharf".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        let pem = |what: &str, der: &[u8]| {
            format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", BASE64_STANDARD.encode(der))
        };
        pem("CERTIFICATE", leaf.der()) + &pem("PRIVATE KEY", &key.serialize_der())
    };
    (upstream, der, client)
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_its_origin_alone_and_its_sockets_serve_nothing_else() {
    let (upstream, root, client) = asking().await;
    let script = Script::default().says("api.test", &[&["127.0.0.1"]]).says("other.test", &[&["127.0.0.1"]]);
    let config = EgressConfig {
        policy: opened(&[&upstream]),
        resolver: Arc::new(script),
        extra_roots: vec![root],
        ..EgressConfig::default()
    };
    let mut world = World::with(config);
    let url = |host: &str| format!("https://{host}:{}", upstream.port());
    let plain = granted(&[&url("api.test"), &url("other.test")]);
    let crm = Arc::new(bringing(plain.clone(), CredentialPlace::ClientCertificate, &[&url("api.test")]));

    for sockets in [2, 3] {
        world = world.secret("acme", "key", &client()).await;
        for _ in 0..2 {
            assert_eq!(world.get(&crm, &url("api.test")).await.unwrap().body(), "shown");
            assert_eq!(world.get(&crm, &url("other.test")).await.unwrap().body(), "blank");
        }
        assert_eq!(upstream.connections(), sockets, "a new certificate takes a socket of its own");
    }
    // The same connection without the credential: the sockets that show it are not for it.
    assert_eq!(world.get(&Arc::new(plain), &url("api.test")).await.unwrap().body(), "blank");
}
