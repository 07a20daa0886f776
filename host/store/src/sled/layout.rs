//! How entries lie in the tree.
//!
//! Entries have keys that start with [`DATA`] and values that start with the
//! version. One more key, [`LEDGER`], is written with every generation of the
//! log and says what the tree must contain, as each frame of the log says what
//! tree and log must contain together; so opening can tell a whole store from
//! one in which sled's recovery stepped over a damaged place.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sled::IVec;

use crate::port::{Entry, Version};

/// What the format of this page is called in the marker.
pub(super) const FORMAT: &str = "2";
/// The tree that holds nothing but the marker.
pub(super) const MARKER_TREE: &str = "wharf";
/// The marker's key.
pub(super) const MARKER: &str = "format";

const DATA: u8 = 1;
/// The ledger's key: sorts before all data.
pub(super) const LEDGER: &[u8] = &[0];
const VERSION_BYTES: usize = size_of::<Version>();
/// A ledger's bytes.
pub(super) const LEDGER_BYTES: usize = 24;

/// What the store contains: checked against the store itself when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    /// The last commit.
    pub(super) version: Version,
    /// How many entries there are.
    pub(super) entries: u64,
    /// The sum of a hash of each entry's key and version. A lost, old or
    /// resurrected entry changes it; the values have sled's own checksums.
    pub(super) sum: u64,
}

impl Ledger {
    /// Notes an entry that is now there.
    pub(super) fn add(&mut self, key: &[u8], version: Version) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mark(key, version));
    }

    /// Notes an entry that is no longer there.
    pub(super) fn remove(&mut self, key: &[u8], version: Version) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mark(key, version));
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.version, self.entries, self.sum].map(u64::to_be_bytes).concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (entries, rest) = rest.split_first_chunk()?;
        let sum = rest.try_into().ok()?;
        let [version, entries, sum] = [*version, *entries, sum].map(u64::from_be_bytes);
        Some(Self { version, entries, sum })
    }
}

fn mark(key: &[u8], version: Version) -> u64 {
    let hash: [u8; 32] =
        Sha256::new().chain_update(version.to_be_bytes()).chain_update(key).finalize().into();
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// The tree's key of a key.
pub(super) fn tree_key(key: &[u8]) -> Vec<u8> {
    [&[DATA], key].concat()
}

/// The tree's value of a value.
pub(super) fn tree_value(version: Version, value: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes(), value].concat()
}

/// The key of a tree's key; `None` for the ledger.
pub(super) fn key_of(tree_key: &[u8]) -> Option<&[u8]> {
    tree_key.strip_prefix(&[DATA])
}

/// The version in a tree's value; `None` if it is too short to be one.
pub(super) fn version_of(tree_value: &[u8]) -> Option<Version> {
    tree_value.first_chunk::<VERSION_BYTES>().map(|bytes| Version::from_be_bytes(*bytes))
}

/// The bytes of the value in a tree's value.
pub(super) fn value_size(tree_value: &[u8]) -> usize {
    tree_value.len().saturating_sub(VERSION_BYTES)
}

/// The entry that lies in the tree like this.
pub(super) fn entry_of(tree_key: &[u8], tree_value: &IVec) -> Option<Entry> {
    Some(Entry {
        key: Bytes::copy_from_slice(key_of(tree_key)?),
        version: version_of(tree_value)?,
        value: Bytes::copy_from_slice(tree_value.get(VERSION_BYTES..)?),
    })
}
