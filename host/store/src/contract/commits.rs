//! Entries, limits, requirements.

use bytes::Bytes;

use super::{done, put};
use crate::port::{Commit, MAX_COMMIT, MAX_KEY, MAX_VALUE, Store, StoreError};

pub(super) async fn an_entry_is_what_was_put_until_it_is_deleted(store: &dyn Store) {
    assert_eq!(store.get(b"entry").await.unwrap(), None);
    let first = done(store, put("entry", "1")).await;
    assert!(first >= 1, "versions count from 1");
    let second = done(store, put("entry", "2")).await;
    assert!(second > first, "versions grow");

    done(store, Commit::default().delete("entry").delete("entry-that-never-was")).await;
    let third = done(store, put("entry", "1")).await;
    assert!(third > second, "versions grow, also over a delete");

    let binary: Bytes = (0..=u8::MAX).collect();
    done(store, put(binary.clone(), binary)).await;
    done(store, put("empty value", "")).await;
    let version = done(store, put("entry", "3").put("other", "3").delete("empty value")).await;
    for key in [b"entry", b"other"] {
        assert_eq!(store.get(key).await.unwrap().unwrap().version, version, "one commit, one version");
    }
    assert_eq!(store.get(b"entr").await.unwrap(), None, "a prefix of a key is another key");
    assert_eq!(store.get(&vec![b'k'; MAX_KEY + 1]).await.unwrap(), None, "what cannot be there is not there");
}

pub(super) async fn what_is_over_a_limit_is_refused_and_what_is_at_it_is_not(store: &dyn Store) {
    let key = |length: usize| Bytes::from(vec![b'l'; length]);
    let value = |length: usize| Bytes::from(vec![0xa5; length]);
    let many = |changes: usize| {
        let put = (0..changes).map(|n| (Bytes::from(format!("limit/{n:05}")), Bytes::new())).collect();
        Commit { put, ..Commit::default() }
    };
    done(store, put(key(MAX_KEY), value(MAX_VALUE))).await;
    done(store, many(MAX_COMMIT)).await;

    let companion = || put("limit-companion", "x");
    let too_large = [
        companion().put(key(MAX_KEY + 1), ""),
        companion().delete(key(MAX_KEY + 1)),
        companion().absent(key(MAX_KEY + 1)),
        companion().at(key(MAX_KEY + 1), 1),
        companion().put("limit-value", value(MAX_VALUE + 1)),
        many(MAX_COMMIT).put("limit-companion", "x"),
        many(MAX_COMMIT).put("limit-companion", "x").absent("limit-absent"),
    ];
    for commit in too_large {
        let refused = store.commit(commit).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "over a limit: {refused:?}");
    }
    assert_eq!(store.get(b"limit-companion").await.unwrap(), None, "a refused commit changes nothing");
    assert_eq!(store.get(b"limit-value").await.unwrap(), None, "a refused commit changes nothing");
}

pub(super) async fn a_commit_happens_wholly_if_all_it_requires_holds_and_else_not_at_all(store: &dyn Store) {
    let old = done(store, put("guard", "old")).await;
    let now = done(store, put("guard", "now").put("kept", "kept")).await;

    let change = || put("kept", "changed").put("made", "made").delete("guard");
    let refused = [
        change().absent("guard"),
        change().at("guard", old),
        change().at("guard", now + 1),
        change().at("made", now),
        change().at("guard", now).absent("kept"),
        change().absent("made").at("guard", now).at("kept", old),
    ];
    for commit in refused {
        let answer = store.commit(commit.clone()).await;
        assert!(matches!(answer, Err(StoreError::Conflict)), "{commit:?} was answered with {answer:?}");
        assert_eq!(store.get(b"guard").await.unwrap().unwrap().value, "now", "a conflict deletes nothing");
        assert_eq!(store.get(b"kept").await.unwrap().unwrap().version, now, "a conflict changes nothing");
        assert_eq!(store.get(b"made").await.unwrap(), None, "a conflict makes nothing");
    }

    let held =
        done(store, change().at("guard", now).at("kept", now).absent("made").absent("other-one")).await;
    done(store, put("guard", "now").absent("guard").at("made", held)).await;
    let stale = store.commit(Commit::default().at("guard", now).put("made", "twice")).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "a key made anew is not the key of before");

    let guarded = Commit::default().at("made", held);
    assert!(store.commit(guarded.clone()).await.unwrap() > held, "a commit may only require");
    done(store, Commit::default().delete("made")).await;
    assert!(
        matches!(store.commit(guarded).await, Err(StoreError::Conflict)),
        "a deleted key is at no version"
    );
}
