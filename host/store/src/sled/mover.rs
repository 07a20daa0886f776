//! The mover: takes a generation of the log into the tree, beside the writer,
//! so that no commit waits for the tree. A key that was written ten times in a
//! generation costs the tree once, and one that came and went nothing.
//!
//! Invariants
//! - The tree's ledger is written when the whole generation is in the tree; a
//!   crash before that repeats the generation from the log.
//! - A generation leaves [`super::recent::Recent`] after it is durable in the
//!   tree, so a read finds it in at least one of the two.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use sled::Db;

use super::disk::Disk;
use super::layout::{self, LEDGER, Ledger};
use super::recent::Changes;
use super::shared::{Broken, Shared};

/// A generation to be moved, and the ledger at its end.
pub(super) struct Generation {
    pub(super) changes: Arc<Changes>,
    pub(super) ledger: Ledger,
}

/// Makes the generation durable in the tree.
pub(super) fn move_into(
    db: &Db,
    disk: &mut Disk,
    Generation { changes, ledger }: &Generation,
) -> Result<(), Broken> {
    for (key, change) in changes.iter() {
        let key = layout::tree_key(key);
        match &change.value {
            Some(value) => drop(db.insert(key, layout::tree_value(change.version, value))?),
            None => drop(db.remove(key)?),
        }
    }
    db.insert(LEDGER, ledger.to_bytes())?;
    db.flush()?;
    disk.sync()?;
    Ok(())
}

/// Moves each generation that comes, and says so. Ends with its queue, or at
/// the first failure.
pub(super) fn run(shared: &Shared, mut disk: Disk, generations: &Receiver<Generation>, moved: &Sender<()>) {
    while let Ok(generation) = generations.recv() {
        let result = catch_unwind(AssertUnwindSafe(|| move_into(shared.db()?, &mut disk, &generation)));
        if let Err(broken) = result.unwrap_or_else(|_| Err(Broken::panicked())) {
            return shared.break_down(broken);
        }
        shared.recent.write().moving = Arc::default();
        // Nobody waits any more when the store is closing after a failure.
        let _ = moved.send(());
    }
}
