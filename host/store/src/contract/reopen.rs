//! What a durable engine keeps when it is closed and opened again.

use std::sync::Arc;

use bytes::Bytes;

use super::{done, put};
use crate::port::{Commit, MAX_PAGE, MAX_VALUE, Page, Store, StoreError};

/// How often the store is opened.
const TIMES: u64 = 3;

/// The promises of a durable engine. `open` opens the same store each time;
/// the one before is dropped by then. It starts empty.
pub async fn keeps_what_it_promised_after_reopen(open: impl Fn() -> Arc<dyn Store>) {
    let mut before = Page::new();
    let mut last = 0;
    for time in 1..=TIMES {
        let store = open();
        let now = store.scan(b"", None, MAX_PAGE).await.unwrap();
        assert_eq!(now, before, "every entry is as it was, its version included");

        if let Some(entry) = store.get(b"reopen/counter").await.unwrap() {
            let stale = Commit::default().at("reopen/counter", entry.version - 1).delete("reopen/counter");
            assert!(matches!(store.commit(stale).await, Err(StoreError::Conflict)));
            let current = put("reopen/counter", time.to_string()).at("reopen/counter", entry.version);
            assert!(done(&*store, current).await > last, "versions grow, also over a restart");
        } else {
            done(&*store, put("reopen/counter", time.to_string()).absent("reopen/counter")).await;
        }
        let large = Bytes::from(vec![b'0' + u8::try_from(time).unwrap(); MAX_VALUE]);
        for n in 0..20 {
            done(&*store, put(format!("reopen/large/{n:02}"), large.clone())).await;
        }
        done(&*store, put(format!("reopen/gone/{time}"), "x")).await;
        // The newest version is that of a deleted key: it must be remembered all the same.
        let newest = done(&*store, put("reopen/newest", "x")).await;
        last = done(&*store, Commit::default().delete("reopen/newest").delete(format!("reopen/gone/{time}")))
            .await;
        assert!(last > newest);
        before = store.scan(b"", None, MAX_PAGE).await.unwrap();
    }
    let store = open();
    assert!(store.commit(Commit::default()).await.unwrap() > last, "versions grow over a restart");
}
