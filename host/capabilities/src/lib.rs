//! What a guest can be given: one module per WIT package.
//!
//! [`Capabilities`] lives as long as the process, a [`Call`] as long as one
//! call. A `Call` is the whole authority of its guest: it carries the tenant,
//! the connection and the meter, and no host function takes them from the
//! guest.
//!
//! Invariants
//! - Nothing works without a grant; what is refused is refused with a value
//!   that the guest can handle, never with a trap.
//! - Passing a bound traps with [`host_model::outcome::Exceeded`].
//! - Everything that crosses is counted.

pub mod bindings;
mod clock;
mod connection;
mod http;
mod kv;
mod log;
pub mod meter;
mod panic;
mod random;
mod smtp;
mod wasi_http;
mod workflow;

use std::sync::Arc;
use std::time::Instant;

use host_egress::{Egress, Exchange};
use host_model::clock::Clock;
use host_model::effects::Effects;
use host_model::outcome::{Level, LogLine};
use host_model::resource::Connection;
use host_store::Store;
use wasmtime::component::{HasSelf, Linker, ResourceTable};

pub use kv::KvQuota;
pub use log::tidy;
pub use meter::Meter;

/// Everything that guests can be given. Once per process.
pub struct Capabilities {
    /// Where kv values live.
    pub store: Arc<dyn Store>,
    /// The only way out.
    pub egress: Arc<Egress>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// What one connection may keep.
    pub kv_quota: KvQuota,
}

/// Whom a call runs for: what its capabilities act on.
pub enum Subject {
    /// Nobody: `describe` at upload. Every capability is refused.
    Nobody,
    /// A connector's call, for this connection.
    Connection(Arc<Connection>),
    /// A workflow's run.
    Run(Arc<dyn Effects>),
}

/// One call's view of the capabilities. Dropped with the call.
pub struct Call {
    /// What it has used, against its bounds.
    pub meter: Meter,
    /// What it has logged.
    log: Vec<LogLine>,
    /// Exchanges that stream, and where in the log their lines are to be.
    streams: Vec<(usize, Exchange)>,
    /// The guest's handles.
    pub table: ResourceTable,
    /// What it has told of its end so far.
    panic: Vec<u8>,
    subject: Subject,
    host: Arc<Capabilities>,
    began: Instant,
}

impl Call {
    /// The view of one call. Handles are bounded from here on.
    pub fn new(host: Arc<Capabilities>, subject: Subject, meter: Meter) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(meter.bounds().handles as usize);
        Self {
            meter,
            log: Vec::new(),
            streams: Vec::new(),
            table,
            panic: Vec::new(),
            subject,
            host,
            began: Instant::now(),
        }
    }

    /// The time of day.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.host.clock)
    }

    /// A log line at this moment, cut and escaped.
    pub fn line(&self, level: Level, text: &str) -> LogLine {
        LogLine { time: self.host.clock.now(), level, text: log::tidy(text) }
    }

    fn connection(&self) -> Option<&Arc<Connection>> {
        match &self.subject {
            Subject::Connection(connection) => Some(connection),
            Subject::Nobody | Subject::Run(_) => None,
        }
    }
}

/// A store's state that has a call in it.
pub trait HasCall: Send + 'static {
    /// The call.
    fn call(&mut self) -> &mut Call;
}

/// Offers the imports of world `connector`, without WASI.
pub fn link_connector<T: HasCall>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::connector::Connector::add_to_linker::<T, HasSelf<Call>>(linker, HasCall::call)
}

/// Offers the imports of world `workflow`.
pub fn link_workflow<T: HasCall>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::workflow::Workflow::add_to_linker::<T, HasSelf<Call>>(linker, HasCall::call)
}
