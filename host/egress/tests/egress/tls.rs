//! HTTPS: an upstream is believed only if a trusted root vouches for its name.

use std::sync::Arc;

use host_egress::{EgressConfig, EgressError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::{Script, Upstream, World, granted, opened};

/// An upstream for `api.test`, and the root that vouches for it.
async fn upstream() -> (Upstream, CertificateDer<'static>) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["api.test".to_owned()]).unwrap().signed_by(&key, &root).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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
    (upstream, root.der().clone())
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
