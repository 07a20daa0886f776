//! Randomness. In a workflow it comes from the journal, so a replay sees the same.

use crate::bindings::connector::wharf::random::random;

/// Secure bytes, 4,096 at most.
pub fn bytes(len: u32) -> Vec<u8> {
    random::bytes(len)
}

/// A secure number.
pub fn number() -> u64 {
    random::number()
}
