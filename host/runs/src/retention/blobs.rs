//! The texts of runs that fit no value are blobs, and several runs may have
//! the same. Each run has an entry for each of its blobs, written by the commit
//! that names it and deleted with the run; a blob that has no entry goes.
//!
//! Every pass looks at every blob. So a blob is found whose removal a crash
//! prevented, and one that was written for a commit which was then not made.
//!
//! Invariants
//! - Whether a run has the blob is looked up when nobody can begin to name it
//!   any more: a blob is held from before it is put until it can be read who
//!   has it.
//! - Only where no other process puts blobs into the same place.

use host_store::StoreError;

use super::{LOOK, PAUSE};
use crate::settings::Stops;
use crate::shelf::blob_failed;
use crate::{Runs, keys};

impl Runs {
    /// Removes the blobs that no run has; gives how many.
    pub(crate) async fn remove_blobs(&self, stops: &Stops) -> Result<usize, StoreError> {
        let (mut removed, mut looked) = (0, 0);
        if !self.settings.exclusive {
            return Ok(removed);
        }
        for shelf in 0..=u8::MAX {
            for digest in self.shelf.payloads.on_shelf(shelf).await.map_err(blob_failed)? {
                if looked == LOOK {
                    looked = 0;
                    if !stops.pause(PAUSE).await {
                        return Ok(removed);
                    }
                }
                looked += 1;
                let Some(removal) = self.shelf.payloads.removal(digest) else { continue };
                if self.shelf.store.scan(&keys::blob_users(&digest), None, 1).await?.is_empty() {
                    removal.remove().await.map_err(blob_failed)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}
