//! A store that fails when told to: for tests of whatever is built on the port.
//!
//! Commits are counted from 1 in the order in which they arrive. What is not
//! told to fail passes through.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use host_model::effects::BoxFuture;
use parking_lot::Mutex;

use crate::bells::silent_for_ever;
use crate::port::{Commit, Doorbell, Entry, Page, Store, StoreError, Version};

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is applied; answered with an error.
    Fail,
    /// Applied; answered with an error all the same, as when the answer is lost.
    Unsure,
    /// Applied and answered, this much later.
    Delay(Duration),
    /// Only the first half of the puts is applied, then answered with an error:
    /// what an engine does that is not atomic. No engine may.
    Tear,
    /// Nothing is applied; answered as if it were. No engine may.
    Lose,
}

/// Passes everything on to another store, but for the faults it was told.
pub struct FaultyStore<S: ?Sized> {
    inner: Arc<S>,
    faults: Mutex<BTreeMap<u64, Fault>>,
    last: AtomicU64,
    commits: AtomicU64,
    dead: AtomicBool,
}

impl<S: Store + ?Sized> FaultyStore<S> {
    /// Without a fault so far. `inner` stays usable: after a death it is what
    /// the next process finds.
    pub fn new(inner: Arc<S>) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
            last: AtomicU64::new(u64::MAX),
            commits: AtomicU64::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// Adds what happens to the `n`-th commit.
    #[must_use]
    pub fn with(self, n: u64, fault: Fault) -> Self {
        self.faults.lock().insert(n, fault);
        self
    }

    /// When the `n`-th commit is done, fails everything from then on, as if the
    /// process had died; 0 is from the start. Together with [`Fault::Unsure`]
    /// at `n` it died before it learnt that the commit was done.
    #[must_use]
    pub fn die_after(self, n: u64) -> Self {
        self.last.store(n, Ordering::SeqCst);
        self.dead.store(n == 0, Ordering::SeqCst);
        self
    }

    /// How many commits arrived.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Whether [`Self::die_after`] has come true.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_dead() { Err(broken("the process died")) } else { Ok(()) }
    }

    async fn commit_with(&self, fault: Option<Fault>, commit: Commit) -> Result<Version, StoreError> {
        match fault {
            None => self.inner.commit(commit).await,
            Some(Fault::Fail) => Err(broken("this commit fails")),
            Some(Fault::Unsure) => {
                self.inner.commit(commit).await?;
                Err(broken("this commit's answer is lost"))
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                self.inner.commit(commit).await
            }
            Some(Fault::Tear) => {
                let half = commit.put.len() / 2;
                let put = commit.put.into_iter().take(half).collect();
                self.inner.commit(Commit { put, delete: Vec::new(), ..commit }).await?;
                Err(broken("this commit is torn"))
            }
            Some(Fault::Lose) => self.inner.commit(Commit::default()).await,
        }
    }
}

fn broken(why: &str) -> StoreError {
    StoreError::Engine(format!("{why} (a fault that the test asked for)").into())
}

impl<S: Store + ?Sized> Store for FaultyStore<S> {
    fn get(&self, key: &[u8]) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        let got = self.inner.get(key);
        Box::pin(async move {
            self.alive()?;
            got.await
        })
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Page, StoreError>> {
        let page = self.inner.scan(prefix, after, limit);
        Box::pin(async move {
            self.alive()?;
            page.await
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Version, StoreError>> {
        Box::pin(async move {
            let n = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
            let last = self.last.load(Ordering::SeqCst);
            self.alive()?;
            if n > last {
                return Err(broken("the process is dying"));
            }
            let fault = self.faults.lock().get(&n).copied();
            let answer = self.commit_with(fault, commit).await;
            if n == last {
                self.dead.store(true, Ordering::SeqCst);
            }
            answer
        })
    }

    fn watch(&self, prefix: &[u8]) -> Doorbell {
        if self.is_dead() { silent_for_ever() } else { self.inner.watch(prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    fn pair(value: &'static str) -> Commit {
        Commit::default().put("a", value).put("b", value)
    }

    async fn value(store: &impl Store, key: &str) -> Option<String> {
        let entry = store.get(key.as_bytes()).await.unwrap()?;
        Some(String::from_utf8(entry.value.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says() {
        let inner = Arc::new(MemoryStore::new());
        let delay = Duration::from_millis(20);
        let store = FaultyStore::new(Arc::clone(&inner))
            .with(1, Fault::Fail)
            .with(2, Fault::Unsure)
            .with(3, Fault::Tear)
            .with(4, Fault::Lose)
            .with(5, Fault::Delay(delay));
        let seen = async || (value(&*inner, "a").await, value(&*inner, "b").await);
        let both = |a: &str, b: &str| (Some(a.to_owned()), Some(b.to_owned()));

        assert!(matches!(store.commit(pair("1")).await, Err(StoreError::Engine(_))));
        assert_eq!(seen().await, (None, None));
        assert!(matches!(store.commit(pair("2")).await, Err(StoreError::Engine(_))));
        assert_eq!(seen().await, both("2", "2"));
        assert!(matches!(store.commit(pair("3")).await, Err(StoreError::Engine(_))));
        assert_eq!(seen().await, both("3", "2"));
        assert!(store.commit(pair("4")).await.is_ok());
        assert_eq!(seen().await, both("3", "2"));
        let before = tokio::time::Instant::now();
        assert!(store.commit(pair("5")).await.is_ok());
        assert!(before.elapsed() >= delay);
        assert_eq!(seen().await, both("5", "5"));
        assert_eq!(store.commits(), 5);
    }

    #[tokio::test]
    async fn after_its_last_commit_a_process_can_do_nothing_and_leaves_what_it_did() {
        let inner = Arc::new(MemoryStore::new());
        let store = FaultyStore::new(Arc::clone(&inner)).die_after(2);
        store.commit(pair("1")).await.unwrap();
        assert!(!store.is_dead());
        store.commit(pair("2")).await.unwrap();

        assert!(store.is_dead());
        assert!(store.commit(pair("3")).await.is_err());
        assert!(store.get(b"a").await.is_err());
        assert!(store.scan(b"", None, 1).await.is_err());
        assert!(!store.watch(b"a").rung().await);
        assert_eq!(value(&*inner, "a").await.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn a_process_can_die_before_its_first_commit() {
        let store = FaultyStore::new(Arc::new(MemoryStore::new())).die_after(0);
        assert!(store.commit(pair("1")).await.is_err());
    }
}
