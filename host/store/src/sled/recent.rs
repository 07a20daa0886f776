//! What the tree does not have yet: the changes that lie in the log only.
//!
//! Two generations, newest first: the one that grows, and the one that is
//! being moved into the tree. Over both lies nothing that is not durable, so a
//! read never shows what a crash could take back.
//!
//! Invariant: a deleted key has a mark here only if something below has it,
//! so lists that things join and leave quickly stay as short as they look.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::port::{Entry, Version};

/// The last change of a key.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: Version,
    /// `None` if it was deleted.
    pub(super) value: Option<Bytes>,
    /// Something below this generation has the key.
    pub(super) below: bool,
}

/// One generation.
pub(super) type Changes = BTreeMap<Bytes, Change>;

/// Both generations.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) newest: Changes,
    pub(super) moving: Arc<Changes>,
}

impl Recent {
    /// The last change of a key, if it is not in the tree yet.
    pub(super) fn get(&self, key: &[u8]) -> Option<(&Bytes, &Change)> {
        self.newest.get_key_value(key).or_else(|| self.moving.get_key_value(key))
    }

    /// Notes a change.
    pub(super) fn put(&mut self, key: Bytes, change: Change) {
        if change.value.is_none() && !change.below {
            self.newest.remove(&key);
        } else {
            self.newest.insert(key, change);
        }
    }

    /// The newest generation is to be moved; a new one begins.
    pub(super) fn turn(&mut self) -> Arc<Changes> {
        self.moving = Arc::new(std::mem::take(&mut self.newest));
        Arc::clone(&self.moving)
    }

    /// Changes from `from` on in key order, each key once.
    pub(super) fn range(&self, from: Bound<&[u8]>) -> impl Iterator<Item = (&Bytes, &Change)> {
        let range = (from, Bound::Unbounded);
        merged(self.newest.range::<[u8], _>(range), self.moving.range::<[u8], _>(range), |(key, _)| *key)
    }
}

/// Two ordered iterators as one; of two with the same key only the upper's.
pub(super) fn merged<T, K: Ord>(
    upper: impl Iterator<Item = T>,
    lower: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = T> {
    let (mut upper, mut lower) = (upper.peekable(), lower.peekable());
    std::iter::from_fn(move || match (upper.peek(), lower.peek()) {
        (Some(up), Some(low)) => match key(up).cmp(&key(low)) {
            std::cmp::Ordering::Less => upper.next(),
            std::cmp::Ordering::Equal => {
                lower.next();
                upper.next()
            }
            std::cmp::Ordering::Greater => lower.next(),
        },
        (Some(_), None) => upper.next(),
        (None, _) => lower.next(),
    })
}

impl Change {
    /// The entry as the change left it.
    pub(super) fn entry(&self, key: &Bytes) -> Option<Entry> {
        let value = self.value.clone()?;
        Some(Entry { key: key.clone(), value, version: self.version })
    }
}
