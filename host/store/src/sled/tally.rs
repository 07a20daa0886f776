//! How much there is of whose: entries and bytes of each tenant, and how many
//! runs of each have not ended.
//!
//! It is counted from the entries themselves when the store is opened, and by
//! the one writer with each group that is durable. So it cannot drift: a crash
//! leaves nothing to be reconciled.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::key::{account, counted_bytes};

/// What is counted under one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many entries.
    pub entries: u64,
    /// Their keys and values together, and the blobs that they stand for.
    pub bytes: u64,
}

/// All accounts.
#[derive(Default)]
pub(super) struct Tallies(Mutex<HashMap<Bytes, Tally>>);

/// What a group of commits makes of the accounts.
#[derive(Default)]
pub(super) struct Difference(HashMap<Bytes, (i64, i64)>);

impl Difference {
    /// An entry of this size is now there.
    pub(super) fn add(&mut self, key: &[u8], value: usize) {
        self.change(key, 1, size(key, value));
    }

    /// An entry of this size is no longer there.
    pub(super) fn remove(&mut self, key: &[u8], value: usize) {
        self.change(key, -1, -size(key, value));
    }

    fn change(&mut self, key: &[u8], entries: i64, bytes: i64) {
        let Some(account) = account(key) else { return };
        if !self.0.contains_key(account) {
            self.0.insert(Bytes::copy_from_slice(account), (0, 0));
        }
        if let Some((all_entries, all_bytes)) = self.0.get_mut(account) {
            *all_entries += entries;
            *all_bytes += bytes;
        }
    }
}

impl Tallies {
    pub(super) fn of(&self, account: &[u8]) -> Tally {
        self.0.lock().get(account).copied().unwrap_or_default()
    }

    pub(super) fn apply(&self, difference: Difference) {
        let mut all = self.0.lock();
        for (account, (entries, bytes)) in difference.0 {
            let tally = all.entry(account.clone()).or_default();
            tally.entries = tally.entries.saturating_add_signed(entries);
            tally.bytes = tally.bytes.saturating_add_signed(bytes);
            if tally.entries == 0 {
                all.remove(&account);
            }
        }
    }
}

fn size(key: &[u8], value: usize) -> i64 {
    i64::try_from(counted_bytes(key, value)).unwrap_or(i64::MAX)
}
