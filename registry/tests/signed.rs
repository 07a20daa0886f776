//! A host that trusts named publishers takes what they signed, and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

mod made;

use std::io::Cursor;
use std::sync::Arc;

use host_model::clock::{SimClock, Timestamp};
use host_store::{Blobs, MemoryStore};
use made::*;
use minisign::KeyPair;
use registry::{MAX_SIGNATURE, PublishError, Registry, SignatureError, TrustedKeys};

struct Publisher(KeyPair);

impl Publisher {
    fn new() -> Self {
        Self(KeyPair::generate_unencrypted_keypair().unwrap())
    }

    /// Somebody else with the same key id.
    fn twin(&self) -> Self {
        let mut other = Self::new();
        let mut bytes = other.0.pk.to_bytes();
        bytes[2..10].copy_from_slice(self.0.pk.keynum());
        other.0.pk = minisign::PublicKey::from_bytes(&bytes).unwrap();
        other
    }

    fn key(&self) -> String {
        self.0.pk.to_base64()
    }

    fn signs(&self, bytes: &[u8]) -> Vec<u8> {
        let comment = Some("file:crm.wasm");
        minisign::sign(None, &self.0.sk, Cursor::new(bytes), comment, None).unwrap().to_bytes()
    }
}

fn trusting(publishers: &[&Publisher]) -> Registry {
    let keys = publishers.iter().map(|publisher| publisher.key().parse().unwrap()).collect();
    Registry::new(
        Arc::new(MemoryStore::new()),
        Blobs::in_memory(),
        Arc::new(SimClock::at(Timestamp::UNIX_EPOCH)),
    )
    .trusting(TrustedKeys::new(keys).unwrap())
}

async fn examined(registry: &Registry, bytes: &[u8], signature: Option<&[u8]>) -> Option<SignatureError> {
    let signature = signature.map(|bytes| bytes.to_vec().into());
    match registry.examine(bytes.to_vec().into(), signature).await {
        Ok(_) => None,
        Err(PublishError::Signature(error)) => Some(error),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn who_signed_a_package_is_kept_with_it_and_the_last_signature_counts() {
    let (one, other, wasm) = (Publisher::new(), Publisher::new(), connector());
    let registry = trusting(&[&other, &one]);
    for (publisher, created) in [(&one, true), (&one, false), (&other, false)] {
        let signature = Some(publisher.signs(&wasm).into());
        let upload = registry.examine(wasm.clone().into(), signature).await.unwrap();
        let published = registry.keep(upload, "tok_1").await.unwrap();
        assert_eq!((published.created, published.signed_by), (created, Some(publisher.key())));
        let record = registry.record(&published.package).await.unwrap().unwrap();
        assert_eq!(record.signed_by, Some(publisher.key()));
    }
}

#[tokio::test]
async fn a_host_that_trusts_nobody_by_name_takes_what_is_signed_and_what_is_not_and_says_that_nobody_did() {
    let registry = trusting(&[]);
    let upload = registry.examine(connector().into(), Some("garbage".into())).await.unwrap();
    assert_eq!(registry.keep(upload, "tok_1").await.unwrap().signed_by, None);
    assert!(!registry.publish(connector().into(), "tok_1").await.unwrap().created);
}

#[tokio::test]
async fn nothing_but_a_trusted_publishers_signature_of_these_very_bytes_is_enough() {
    let (publisher, stranger, wasm) = (Publisher::new(), Publisher::new(), connector());
    let registry = trusting(&[&publisher]);
    let signature = publisher.signs(&wasm);
    assert_eq!(examined(&registry, &wasm, Some(&signature)).await, None);

    let check = async |bytes: &[u8], signature: Option<&[u8]>, want: SignatureError| {
        assert_eq!(examined(&registry, bytes, signature).await, Some(want));
    };
    check(&wasm, None, SignatureError::Missing).await;
    check(&wasm, Some(&stranger.signs(&wasm)), SignatureError::Untrusted).await;
    let second =
        component("export wharf:endpoints/endpoints@0.1.0;", Some(&CONNECTOR.replace("0.1.0", "0.2.0")));
    check(&second, Some(&signature), SignatureError::Wrong).await;
    check(b"", Some(&signature), SignatureError::Wrong).await;
    check(&wasm, Some(b""), SignatureError::Malformed).await;
    check(&wasm, Some(b"\xff\xfe"), SignatureError::Malformed).await;
    check(&wasm, Some(&[b'\n'; 64]), SignatureError::Malformed).await;
    check(&wasm, Some(&vec![b'A'; MAX_SIGNATURE + 1]), SignatureError::TooLarge(MAX_SIGNATURE + 1)).await;
    assert!(registry.list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_key_of_the_same_id_is_another_key() {
    let (publisher, wasm) = (Publisher::new(), connector());
    let twin = publisher.twin();
    assert!(TrustedKeys::new(vec![publisher.key().parse().unwrap(), twin.key().parse().unwrap()]).is_err());
    let signature = publisher.signs(&wasm);
    let found = examined(&trusting(&[&twin]), &wasm, Some(&signature)).await;
    assert_eq!(found, Some(SignatureError::Wrong));
}

#[tokio::test]
async fn no_byte_of_package_or_signature_can_change_but_the_untrusted_comment() {
    let (publisher, wasm) = (Publisher::new(), connector());
    let registry = trusting(&[&publisher]);
    let signature = publisher.signs(&wasm);
    // Its first line is for people, and nobody signs it.
    let signed = signature.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for at in signed..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        // The end of a line may turn into what ends one all the same.
        let same = changed.trim_ascii_end() == signature.trim_ascii_end();
        assert_eq!(examined(&registry, &wasm, Some(&changed)).await.is_none(), same, "byte {at}");
    }
    for end in 0..signature.trim_ascii_end().len() {
        assert!(examined(&registry, &wasm, Some(&signature[..end])).await.is_some(), "cut at {end}");
    }
    for at in (0..wasm.len()).step_by(7) {
        let mut changed = wasm.clone();
        changed[at] ^= 1;
        let found = examined(&registry, &changed, Some(&signature)).await;
        assert_eq!(found, Some(SignatureError::Wrong), "byte {at}");
    }
}

/// As minisign made them before it hashed a file first; its author's own vector, of `test`.
#[tokio::test]
async fn a_legacy_signature_is_refused_though_it_is_right() {
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    let registry = trusting(&[]).trusting(TrustedKeys::new(vec![key.parse().unwrap()]).unwrap());
    let signature = "untrusted comment: signature from minisign secret key
RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==";
    let (public, read) =
        (minisign_verify::PublicKey::from_base64(key), minisign_verify::Signature::decode(signature));
    public.unwrap().verify(b"test", &read.unwrap(), true).unwrap();
    assert_eq!(examined(&registry, b"test", Some(signature.as_bytes())).await, Some(SignatureError::Legacy));
}
