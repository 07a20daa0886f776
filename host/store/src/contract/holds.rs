//! Blobs that a commit is about to name.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinSet, yield_now};

use super::put;
use crate::blobs::Blobs;
use crate::port::{Store, StoreError};

pub(super) async fn a_held_blob_is_let_go_once_the_commit_can_be_read(store: &Arc<dyn Store>) {
    let blobs = Blobs::in_memory();
    for round in 0..50 {
        let key = Bytes::from(format!("hold/{round}"));
        let hold = blobs.put_held(key.clone()).await.unwrap();
        let digest = hold.digest();
        let commit = put(key.clone(), "named").hold(hold);
        let caller = Arc::clone(store);
        let mut committing = JoinSet::new();
        committing.spawn(async move { caller.commit(commit).await });
        while blobs.removal(digest).is_none() {
            yield_now().await;
        }
        assert!(
            store.get(&key).await.unwrap().is_some(),
            "a blob is let go, and nobody can read who names it"
        );
        committing.join_all().await.remove(0).unwrap();
    }
    let hold = blobs.put_held(Bytes::from_static(b"refused")).await.unwrap();
    let digest = hold.digest();
    let refused = store.commit(put("hold/0", "again").absent("hold/0").hold(hold)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    assert!(blobs.removal(digest).is_some(), "a refused commit lets go");
}
