//! Small values that outlive a call, private to one connection. The manifest
//! asks for it with `kv = true` under `[grants]`.

use std::time::Duration;

use crate::bindings::connector::wharf::kv::store;

pub use store::{Entry, Error, Page};

/// The value and its version, or `None` if it was never set, deleted or has expired.
pub fn get(key: &str) -> Result<Option<Entry>, Error> {
    store::get(key)
}

/// Replaces any earlier value, durably. Gives the new version.
pub fn set(key: &str, value: &[u8]) -> Result<u64, Error> {
    store::set(key, value, None)
}

/// As [`set`]; the key is gone after `life`.
pub fn set_for(key: &str, value: &[u8], life: Duration) -> Result<u64, Error> {
    store::set(key, value, Some(crate::clock::whole_ms(life)))
}

/// Sets the value only if the key is still at `expected` (`None`: absent).
/// Gives the new version, or `None` if it was not.
pub fn compare_and_set(key: &str, expected: Option<u64>, value: &[u8]) -> Result<Option<u64>, Error> {
    store::compare_and_set(key, expected, value)
}

/// Adds to a counter, which starts at 0, and gives the sum. Atomic.
pub fn increment(key: &str, by: i64) -> Result<i64, Error> {
    store::increment(key, by)
}

/// Deletes it. Deleting an absent key is fine.
pub fn delete(key: &str) -> Result<(), Error> {
    store::delete(key)
}

/// One page of the keys that start with `prefix`, in byte order, after `after`.
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, Error> {
    store::list_keys(prefix, after, limit)
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied => Self::Permanent(
                "kv is not granted: the manifest asks for it with `kv = true` under [grants], the connection grants it"
                    .to_owned(),
            ),
            Error::TooLarge => {
                Self::Permanent("the kv key is empty or over 256 bytes, or the value over 60 KiB".to_owned())
            }
            Error::OverQuota => {
                Self::Permanent("the connection's kv quota is used up: delete something first".to_owned())
            }
            Error::NotACounter => Self::Permanent("the kv value is not a counter".to_owned()),
            Error::Contended => Self::Retry("somebody else kept changing the same kv key".to_owned()),
            Error::Other(text) => Self::Other(text),
        }
    }
}
