//! Who is about to name a blob, and who is about to remove one: never both.
//! Of one process, as a directory of blobs is.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use host_model::digest::Digest;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The holds and claims on the blobs of one place.
#[derive(Default)]
pub(crate) struct Holds {
    now: Mutex<Now>,
    let_go: Notify,
}

#[derive(Default)]
struct Now {
    held: HashMap<Digest, usize>,
    claimed: HashSet<Digest>,
}

/// As long as it or a clone of it lives, nobody removes the blob.
#[derive(Clone)]
pub struct Hold(Arc<Held>);

struct Held {
    digest: Digest,
    holds: Arc<Holds>,
}

impl Hold {
    /// Once nobody is about to remove the blob.
    pub(crate) async fn on(holds: &Arc<Holds>, digest: Digest) -> Self {
        loop {
            let let_go = holds.let_go.notified(); // before looking: no ring is missed
            {
                let mut now = holds.now.lock();
                if !now.claimed.contains(&digest) {
                    *now.held.entry(digest).or_default() += 1;
                    return Self(Arc::new(Held { digest, holds: Arc::clone(holds) }));
                }
            }
            let_go.await;
        }
    }

    /// Which blob it holds.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut now = self.holds.now.lock();
        if let Some(count) = now.held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                now.held.remove(&self.digest);
            }
        }
    }
}

impl PartialEq for Hold {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for Hold {}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({})", self.digest())
    }
}

/// As long as it lives, nobody begins to hold the blob.
pub(crate) struct Claim {
    pub(crate) digest: Digest,
    holds: Arc<Holds>,
}

impl Claim {
    /// `None` if somebody holds the blob, or is about to remove it, too.
    pub(crate) fn on(holds: &Arc<Holds>, digest: Digest) -> Option<Self> {
        let mut now = holds.now.lock();
        let free = !now.held.contains_key(&digest) && now.claimed.insert(digest);
        free.then(|| Self { digest, holds: Arc::clone(holds) })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.holds.now.lock().claimed.remove(&self.digest);
        self.holds.let_go.notify_waiters();
    }
}
