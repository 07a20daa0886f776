//! Scanning in pages.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{done, put};
use crate::port::{Commit, MAX_COMMIT, MAX_PAGE, Store};

async fn keys(store: &dyn Store, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Bytes> {
    let page = store.scan(prefix, after, limit).await.unwrap();
    page.into_iter().map(|entry| entry.key).collect()
}

pub(super) async fn a_page_is_in_key_order_below_the_prefix_and_after_the_key(store: &dyn Store) {
    // Around the prefixes `p` and 0xff, where "the next prefix" is easily got wrong.
    let names: [&[u8]; 11] = [
        b"o\xff",
        b"p",
        b"p\0",
        b"p\0\0",
        b"pa",
        b"pb",
        b"p\xff",
        b"p\xff\xff",
        b"q",
        b"\xff",
        b"\xff\xff\x01",
    ];
    for (number, name) in names.iter().rev().enumerate() {
        done(store, put(Bytes::from_static(name), format!("{number}"))).await;
    }
    let below = |prefix: &[u8]| names.into_iter().filter(|name| name.starts_with(prefix)).collect::<Vec<_>>();

    for prefix in [&b"p"[..], b"p\0", b"p\xff", b"p\xff\xff", b"\xff", b"\xff\xff", b"pz"] {
        assert_eq!(keys(store, prefix, None, 100).await, below(prefix), "below {prefix:?}");
        for limit in 0..4 {
            let first: Vec<_> = below(prefix).into_iter().take(limit).collect();
            assert_eq!(keys(store, prefix, None, limit).await, first, "the first {limit} below {prefix:?}");
        }
        for after in names.into_iter().chain([&b""[..], b"p\x01", b"pb\0", b"\xff\xff\xff"]) {
            let rest: Vec<_> = below(prefix).into_iter().filter(|name| *name > after).collect();
            assert_eq!(
                keys(store, prefix, Some(after), 100).await,
                rest,
                "below {prefix:?}, after {after:?}"
            );
        }
    }

    let everything = keys(store, b"", Some(b"o"), MAX_PAGE).await;
    assert!(everything.is_sorted(), "the empty prefix gives everything in order");
    assert!(names.iter().all(|name| everything.iter().any(|key| key == name)));

    let entries = store.scan(b"p", None, 100).await.unwrap();
    for entry in entries {
        assert_eq!(store.get(&entry.key).await.unwrap(), Some(entry), "a page shows what `get` shows");
    }
}

pub(super) async fn a_page_has_a_largest_size(store: &dyn Store) {
    let name = |n: usize| Bytes::from(format!("size/{n:05}"));
    let put = (0..MAX_COMMIT).map(|n| (name(n), Bytes::new())).collect();
    done(store, Commit { put, ..Commit::default() }).await;

    let page = keys(store, b"size/", None, usize::MAX).await;
    assert_eq!(page.len(), MAX_PAGE);
    let next = keys(store, b"size/", page.last().map(|key| &key[..]), MAX_PAGE).await;
    assert!(page.into_iter().chain(next).eq((0..2 * MAX_PAGE).map(name)), "two pages follow on");
}

pub(super) async fn paging_meets_each_entry_once_while_others_come_and_go(store: &dyn Store) {
    let name = |n: usize| Bytes::from(format!("paging/{n:02}"));
    for n in (0..40).step_by(2) {
        done(store, put(name(n), "")).await;
    }
    let mut met = Vec::new();
    let mut after = None;
    for turn in 0.. {
        let page = keys(store, b"paging/", after.as_deref(), 3).await;
        let Some(last) = page.last().cloned() else { break };
        // The key to go on after may itself be gone by then.
        done(store, put(name(2 * turn + 1), "").delete(last.clone())).await;
        after = Some(last);
        met.extend(page);
    }
    let unique: BTreeSet<_> = met.iter().cloned().collect();
    assert_eq!(unique.len(), met.len(), "no entry is met twice");
    assert!((0..40).step_by(2).all(|n| unique.contains(&name(n))), "what was there all along is met");
    assert!(met.is_sorted());
}
