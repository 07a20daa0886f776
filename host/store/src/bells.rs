//! Doorbells: who waits for which prefix.
//!
//! Invariants
//! - A bell rings before the change can be read, so whoever reads a change and
//!   then looks at a bell hung earlier finds it rung.
//! - Ringing costs the changed keys times the different lengths of watched
//!   prefixes, not times the number of bells: thousands may wait.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::port::Doorbell;

/// Bells that nobody holds any more are looked for when this many hang, and
/// again whenever the number has doubled.
const FIRST_SWEEP: usize = 64;

#[derive(Default)]
pub(crate) struct Bells(Mutex<Hung>);

#[derive(Default)]
struct Hung {
    by_prefix: HashMap<Bytes, watch::Sender<u64>>,
    lengths: BTreeSet<usize>,
    sweep_at: usize,
    closed: bool,
}

impl Bells {
    /// Hangs a bell for changes below `prefix`.
    pub(crate) fn hang(&self, prefix: &[u8]) -> Doorbell {
        let mut hung = self.0.lock();
        if hung.closed {
            return silent_for_ever();
        }
        if hung.by_prefix.len() >= hung.sweep_at {
            hung.sweep();
        }
        hung.lengths.insert(prefix.len());
        let sender =
            hung.by_prefix.entry(Bytes::copy_from_slice(prefix)).or_insert_with(|| watch::channel(0).0);
        Doorbell(sender.subscribe())
    }

    /// Rings every bell whose prefix one of the changed keys has.
    pub(crate) fn ring<'a>(&self, changed: impl IntoIterator<Item = &'a Bytes>) {
        let hung = self.0.lock();
        for key in changed {
            let prefixes = hung.lengths.iter().map_while(|length| key.get(..*length));
            for sender in prefixes.filter_map(|prefix| hung.by_prefix.get(prefix)) {
                sender.send_modify(|rung| *rung += 1);
            }
        }
    }

    /// Nothing will change any more: everybody who waits is told so.
    pub(crate) fn close(&self) {
        *self.0.lock() = Hung { closed: true, ..Hung::default() };
    }
}

impl Hung {
    fn sweep(&mut self) {
        self.by_prefix.retain(|_, sender| sender.receiver_count() > 0);
        self.lengths = self.by_prefix.keys().map(Bytes::len).collect();
        self.sweep_at = (self.by_prefix.len() * 2).max(FIRST_SWEEP);
    }
}

/// The bell of a store that is gone.
pub(crate) fn silent_for_ever() -> Doorbell {
    Doorbell(watch::channel(0).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bells_that_nobody_holds_are_swept_away() {
        let bells = Bells::default();
        for run in 0..10_000_u32 {
            bells.hang(&run.to_be_bytes());
        }
        assert!(bells.0.lock().by_prefix.len() <= FIRST_SWEEP + 1);
    }

    #[tokio::test]
    async fn a_closed_house_has_no_bell_to_wait_for() {
        let bells = Bells::default();
        let mut before = bells.hang(b"a");
        bells.close();
        assert!(!before.rung().await);
        assert!(!bells.hang(b"a").rung().await);
    }
}
