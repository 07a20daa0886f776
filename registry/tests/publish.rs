//! What is published stays as it is, and is there after a restart.

mod made;

use std::sync::Arc;

use host_model::clock::{SimClock, Timestamp};
use host_store::{Blobs, MemoryStore};
use made::*;
use registry::{PublishError, Registry, Upload};

fn registry(store: &Arc<MemoryStore>, blobs: &Blobs) -> Registry {
    Registry::new(store.clone(), blobs.clone(), Arc::new(SimClock::at(Timestamp::UNIX_EPOCH)))
}

fn version(version: &str) -> Vec<u8> {
    let manifest = CONNECTOR.replace("0.1.0", version);
    component("export wharf:endpoints/endpoints@0.1.0;", Some(&manifest))
}

#[tokio::test]
async fn a_published_package_is_there_with_its_content_after_a_restart() {
    let (store, blobs) = (Arc::new(MemoryStore::new()), Blobs::in_memory());
    let wasm = connector();
    let published = registry(&store, &blobs).publish(wasm.clone().into(), "tok_1").await.unwrap();
    assert!(published.created);

    let again = registry(&store, &blobs);
    let package = again.get(&published.package).await.unwrap().unwrap();
    assert_eq!((package.digest, package.manifest.package()), (published.digest, published.package));
    assert_eq!(again.content(&package.digest).await.unwrap().unwrap(), wasm);
    assert!(again.get(&"example/crm@9.9.9".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn the_same_again_is_fine_and_another_content_is_refused() {
    let registry = registry(&Arc::new(MemoryStore::new()), &Blobs::in_memory());
    registry.publish(connector().into(), "tok_1").await.unwrap();
    assert!(!registry.publish(connector().into(), "tok_2").await.unwrap().created);

    let other =
        component("import wharf:log/log@0.1.0; export wharf:endpoints/endpoints@0.1.0;", Some(CONNECTOR));
    let error = registry.publish(other.into(), "tok_1").await.unwrap_err();
    assert!(matches!(error, PublishError::Immutable { .. }));
    assert!(error.to_string().contains("versions are immutable, publish a new one"), "{error}");
}

#[tokio::test]
async fn the_hosts_own_namespace_is_the_hosts() {
    let registry = registry(&Arc::new(MemoryStore::new()), &Blobs::in_memory());
    let named = |name: &str| {
        component("export wharf:endpoints/endpoints@0.1.0;", Some(&CONNECTOR.replace("example/crm", name)))
    };
    let error = registry.publish(named("wharf/flow").into(), "tok_1").await.unwrap_err();
    assert!(matches!(error, PublishError::Reserved(_)));
    assert!(error.to_string().contains("choose another"), "{error}");
    assert!(registry.list(None, 10).await.unwrap().is_empty());

    let own = Upload::builtin(named("wharf/flow").into()).await.unwrap();
    assert!(registry.keep(own, "host").await.unwrap().created);
    assert!(registry.publish(named("wharfs/flow").into(), "tok_1").await.unwrap().created);
}

#[tokio::test]
async fn two_that_publish_one_version_at_once_agree_on_one_content() {
    let registry = registry(&Arc::new(MemoryStore::new()), &Blobs::in_memory());
    let other =
        component("import wharf:log/log@0.1.0; export wharf:endpoints/endpoints@0.1.0;", Some(CONNECTOR));
    let (one, two) =
        tokio::join!(registry.publish(connector().into(), "tok_1"), registry.publish(other.into(), "tok_2"),);
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
}

#[tokio::test]
async fn packages_are_listed_in_pages_and_a_bad_one_leaves_nothing() {
    let store = Arc::new(MemoryStore::new());
    let registry = registry(&store, &Blobs::in_memory());
    for number in ["0.1.0", "0.2.0", "0.3.0"] {
        registry.publish(version(number).into(), "tok_1").await.unwrap();
    }
    assert!(registry.publish(b"garbage".as_slice().into(), "tok_1").await.is_err());

    let first = registry.list(None, 2).await.unwrap();
    let rest = registry.list(Some(&first[1].package), 2).await.unwrap();
    let names: Vec<_> = first.iter().chain(&rest).map(|record| record.package.to_string()).collect();
    assert_eq!(names, ["example/crm@0.1.0", "example/crm@0.2.0", "example/crm@0.3.0"]);
    assert_eq!(registry.versions(&"example/crm".parse().unwrap()).await.unwrap().len(), 3);
}
