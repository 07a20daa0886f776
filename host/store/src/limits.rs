//! The limits of a commit, checked before any engine sees it.

use crate::port::{Commit, MAX_COMMIT, MAX_KEY, MAX_VALUE, Require, StoreError};

/// Refuses a commit that no engine may take.
pub(crate) fn check(commit: &Commit) -> Result<(), StoreError> {
    within("changes in one commit", commit.changes(), MAX_COMMIT)?;

    let required = commit.require.iter().map(|require| match require {
        Require::Absent(key) | Require::At(key, _) => key,
    });
    let written = commit.put.iter().map(|(key, _)| key);
    for key in required.chain(written).chain(&commit.delete) {
        within("key bytes", key.len(), MAX_KEY)?;
    }
    for (_, value) in &commit.put {
        within("value bytes", value.len(), MAX_VALUE)?;
    }
    Ok(())
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size <= limit { Ok(()) } else { Err(StoreError::TooLarge { what, size, limit }) }
}
