//! Where a schedule stands, stored: the latest instant that is done.
//!
//! The cursor alone makes one fire of each instant. A fire moves it in the
//! commit that accepts the run and requires that it has not changed since it
//! was read; of any number of hosts that try, one succeeds, and nobody moves
//! it back. So no marker is kept per fire, and nothing has to be swept.

use host_model::clock::Timestamp;
use host_model::name::{ScheduleName, TenantId};
use host_store::key::{self, Key};
use host_store::{Commit, Store, StoreError, Version};
use serde::{Deserialize, Serialize};

/// What is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The latest instant that is done, or when the schedule was first seen.
    pub(crate) handled: Timestamp,
    /// By which rule it was counted.
    pub(crate) rule: String,
}

/// A cursor and the version that the next move requires.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) cursor: Cursor,
    pub(crate) version: Version,
}

/// What is stored under a cursor's key.
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// A cursor.
    Mark(Mark),
    /// Bytes that are no cursor.
    Damaged(Version),
}

/// The key of a schedule's cursor. Delete it in the commit that deletes the
/// schedule, so that a later one of that name starts anew.
pub fn cursor_key(tenant: &TenantId, name: &ScheduleName) -> Key {
    key::tenant(tenant).kind("schedule-cursor").name(name.as_str())
}

pub(crate) async fn read(store: &dyn Store, key: &Key) -> Result<Found, StoreError> {
    let Some(entry) = store.get(key).await? else { return Ok(Found::Nothing) };
    Ok(match serde_json::from_slice(&entry.value) {
        Ok(cursor) => Found::Mark(Mark { cursor, version: entry.version }),
        Err(_) => Found::Damaged(entry.version),
    })
}

impl Cursor {
    /// Stores this cursor in place of one of that version, or of none.
    pub(crate) fn replacing(&self, key: &Key, over: Option<Version>) -> Commit {
        let commit = match over {
            Some(version) => Commit::default().at(key.clone(), version),
            None => Commit::default().absent(key.clone()),
        };
        // A struct of a time and a text has no way to fail.
        commit.put(key.clone(), serde_json::to_vec(self).unwrap_or_default())
    }
}
