//! The promises of the port, as code. Each engine's tests call
//! [`keeps_the_store_contract`] with an empty store; durable engines also
//! [`keeps_what_it_promised_after_reopen`].
//!
//! A broken promise is a panic that says which. Every commit here is read back
//! at once, so an engine that loses or tears any of them is found out.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test, only called by engines' tests")]

mod bells;
mod commits;
mod concurrency;
mod holds;
mod pages;
mod reopen;

use std::sync::Arc;

use bytes::Bytes;

pub use self::reopen::keeps_what_it_promised_after_reopen;
use crate::port::{Commit, Entry, Store, Version};

/// The promises that every engine keeps. `store` must be empty.
pub async fn keeps_the_store_contract(store: Arc<dyn Store>) {
    assert!(store.scan(b"", None, 1).await.unwrap().is_empty(), "the contract starts with an empty store");
    commits::an_entry_is_what_was_put_until_it_is_deleted(&*store).await;
    commits::what_is_over_a_limit_is_refused_and_what_is_at_it_is_not(&*store).await;
    commits::a_commit_happens_wholly_if_all_it_requires_holds_and_else_not_at_all(&*store).await;
    pages::a_page_is_in_key_order_below_the_prefix_and_after_the_key(&*store).await;
    pages::a_page_has_a_largest_size(&*store).await;
    pages::paging_meets_each_entry_once_while_others_come_and_go(&*store).await;
    bells::a_bell_rings_for_every_kind_of_change_again_and_again(&*store).await;
    bells::a_bell_rings_for_a_change_that_came_before_anybody_waited(&*store).await;
    concurrency::counters_that_many_increment_sum_up(&store).await;
    concurrency::one_of_many_creators_wins(&store).await;
    holds::a_held_blob_is_let_go_once_the_commit_can_be_read(&store).await;
    concurrency::whoever_sees_one_key_of_a_commit_sees_the_others(&store).await;
}

/// Commits, and reads back that it happened.
async fn done(store: &dyn Store, commit: Commit) -> Version {
    let version = store.commit(commit.clone()).await.expect("a commit whose requirements hold is made");
    for (key, value) in commit.put {
        let entry = store.get(&key).await.unwrap();
        assert_eq!(entry, Some(Entry { key, value, version }), "a committed put is there");
    }
    for key in commit.delete {
        assert_eq!(store.get(&key).await.unwrap(), None, "a committed delete is done");
    }
    version
}

/// One put.
fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Commit {
    Commit::default().put(key, value)
}
