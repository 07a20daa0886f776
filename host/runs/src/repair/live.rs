//! The attempts in memory, by run: how an order reaches one.

use std::collections::HashMap;
use std::sync::Arc;

use host_model::id::RunId;
use host_model::name::TenantId;
use parking_lot::Mutex;

use crate::journal::Core;
use crate::ledger::Halt;

/// The attempts in memory.
#[derive(Default)]
pub(crate) struct Live(Mutex<HashMap<RunId, Arc<Core>>>);

/// An attempt is in memory as long as this is.
pub(crate) struct Entered<'l> {
    live: &'l Live,
    run: RunId,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.live.0.lock().remove(&self.run);
    }
}

impl Live {
    /// The attempt may be ordered about from here on.
    pub(crate) fn enter(&self, core: &Arc<Core>) -> Entered<'_> {
        self.0.lock().insert(core.run, Arc::clone(core));
        Entered { live: self, run: core.run }
    }

    /// The attempt at this run of this tenant, if it is in memory here.
    pub(crate) fn of(&self, tenant: &TenantId, run: RunId) -> Option<Arc<Core>> {
        self.0.lock().get(&run).filter(|core| core.tenant == *tenant).cloned()
    }
}

impl Core {
    /// Stops the attempt by hand. The calls that go on may still end well and
    /// are recorded, unless they are cut too.
    pub(crate) fn order(&self, cut: bool) {
        self.halt(Halt::Ordered);
        self.ordered.cancel();
        if cut {
            self.cut.cancel();
        }
    }
}
