//! What a store holds during a call.

use host_capabilities::{Call, HasCall};
use host_model::outcome::Usage;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::memory::{InstanceMemory, Payer};
use crate::wasi::Wasi;

pub(crate) struct State {
    pub(crate) call: Call,
    pub(crate) memory: InstanceMemory,
    /// Made when a guest first uses WASI; most never do.
    pub(crate) wasi: Option<Box<Wasi>>,
}

impl State {
    pub(crate) fn new(call: Call, payer: Option<Payer>) -> Self {
        let memory = InstanceMemory::new(call.meter.bounds().memory, payer);
        Self { call, memory, wasi: None }
    }

    /// What the capabilities and the limiter counted.
    pub(crate) fn usage(&self) -> Usage {
        Usage { peak_memory: self.memory.peak(), ..*self.call.meter.usage() }
    }
}

impl HasCall for State {
    fn call(&mut self) -> &mut Call {
        &mut self.call
    }
}

/// wasmtime asks for a view once a host call, so this is where WASI's calls are counted.
impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.call.meter.wasi_call();
        let wasi = self.wasi.get_or_insert_with(|| Wasi::new(&self.call));
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.call.meter.wasi_call();
        let wasi = self.wasi.get_or_insert_with(|| Wasi::new(&self.call));
        WasiHttpCtxView { ctx: &mut wasi.http, table: &mut wasi.table, hooks: &mut self.call }
    }
}
