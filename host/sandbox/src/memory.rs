//! Bounds the memory of a whole instance: all its memories and tables
//! together, where wasmtime's own limits see one at a time.

use std::sync::Arc;

use host_model::name::TenantId;
use host_model::outcome::{Bound, Exceeded};
use wasmtime::ResourceLimiter;

use crate::Tolls;

/// What a table element costs the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// What a call has without its tenant's quota being asked, so that most calls,
/// which are small, need not: their number is bounded, too.
const SMALL: u64 = 1 << 20;

/// How much of a call's memory counts to its tenant's quota.
fn counted(used: u64) -> u64 {
    used.saturating_sub(SMALL)
}

/// Whose quota a call's memory counts to.
pub(crate) struct Payer {
    pub(crate) tenant: TenantId,
    pub(crate) tolls: Arc<dyn Tolls>,
}

pub(crate) struct InstanceMemory {
    limit: u64,
    now: u64,
    peak: u64,
    payer: Option<Payer>,
}

impl Drop for InstanceMemory {
    fn drop(&mut self) {
        let counted = counted(self.now);
        if let Some(payer) = self.payer.as_ref().filter(|_| counted > 0) {
            payer.tolls.memory_free(&payer.tenant, counted);
        }
    }
}

impl InstanceMemory {
    pub(crate) fn new(limit: u64, payer: Option<Payer>) -> Self {
        Self { limit, now: 0, peak: 0, payer }
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Growing from `current` to `desired` bytes; over the limit it ends the
    /// call, since a guest that is told -1 mostly aborts without saying why.
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let used = self.now.saturating_add(desired.saturating_sub(current) as u64);
        if used > self.limit {
            return Err(Exceeded { bound: Bound::Memory, limit: self.limit, used }.into());
        }
        let more = counted(used) - counted(self.now);
        if let Some(payer) = self.payer.as_ref().filter(|_| more > 0) {
            payer.tolls.memory(&payer.tenant, more).map_err(|passed| Exceeded {
                bound: Bound::TenantMemory,
                limit: passed.limit,
                used: passed.used.saturating_add(more),
            })?;
        }
        self.now = used;
        self.peak = self.peak.max(used);
        Ok(true)
    }
}

impl ResourceLimiter for InstanceMemory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false); // the guest's own maximum: it asked for this answer
        }
        self.grow(current, desired)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(current.saturating_mul(TABLE_ELEMENT), desired.saturating_mul(TABLE_ELEMENT))
    }
}

#[test]
fn memories_and_tables_count_together() {
    let mut memory = InstanceMemory::new(200_000, None);
    assert!(memory.memory_growing(0, 65_536, None).unwrap());
    assert!(memory.memory_growing(0, 65_536, None).unwrap(), "a second memory");
    assert!(memory.table_growing(0, 1_000, None).unwrap());
    let error = memory.memory_growing(65_536, 131_072, None).unwrap_err();
    let exceeded = error.downcast_ref::<Exceeded>().unwrap();
    assert_eq!((exceeded.bound, exceeded.used), (Bound::Memory, 204_608));
    assert_eq!(memory.peak(), 139_072);
}
