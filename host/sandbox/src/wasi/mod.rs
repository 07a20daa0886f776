//! WASI 0.2 for guests that need it: clocks, random and stdio as log lines.
//! No files, no sockets, no environment, no arguments: those are linked,
//! since language runtimes import them, and answer denied.

mod metered;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use host_capabilities::Call;
use host_model::clock::Clock;
use host_model::outcome::{Bound, Exceeded};
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx};
use wasmtime_wasi_http::WasiHttpCtx;

pub(crate) use metered::meter;

/// The most random bytes that one call gives: the default would let a guest make the host allocate 64 MiB.
const MAX_RANDOM: u64 = 64 << 10;
/// Headers of one message, in memory: some more than egress lets out and most
/// servers take in. A guest may hold as many messages as handles.
const MAX_FIELDS: usize = 32 << 10;
/// What one write to stdout may take.
const MAX_WRITE: usize = 4 << 10;

pub(crate) struct Wasi {
    pub(crate) ctx: WasiCtx,
    pub(crate) http: WasiHttpCtx,
    pub(crate) table: ResourceTable,
    pub(crate) output: Output,
}

impl Wasi {
    pub(crate) fn new(call: &Call) -> Box<Self> {
        let output = Output::new(call.meter.bounds().log_bytes);
        let ctx = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
            .max_random_size(MAX_RANDOM)
            .wall_clock(WallClock(call.clock()))
            .allow_ip_name_lookup(false)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        let mut table = ResourceTable::new();
        table.set_max_capacity(call.meter.bounds().handles as usize);
        Box::new(Self { ctx, http, table, output })
    }
}

struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().timestamp_millis()).unwrap_or(0))
    }
}

/// Collects stdout and stderr, bounded; the sandbox turns it into log lines
/// when the call is over.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Collected>>);

struct Collected {
    text: Vec<u8>,
    limit: u64,
    /// Every write costs something, so that empty ones end too.
    spent: u64,
}

/// What a write costs besides its bytes, and each line in it, which becomes a
/// log line of its own.
const OVERHEAD: u64 = 32;

impl Output {
    fn new(limit: u64) -> Self {
        Self(Arc::new(Mutex::new(Collected { text: Vec::new(), limit, spent: 0 })))
    }

    fn push(&self, bytes: &[u8]) -> Result<(), Exceeded> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        collected.spent = collected.spent.saturating_add(bytes.len() as u64 + OVERHEAD * (1 + lines));
        if collected.spent > collected.limit {
            return Err(Exceeded { bound: Bound::LogBytes, limit: collected.limit, used: collected.spent });
        }
        collected.text.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes what was written, and what it counts against the log bytes.
    pub(crate) fn take(&self) -> (Vec<u8>, u64) {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut collected.text), collected.spent)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes).map_err(|exceeded| StreamError::Trap(exceeded.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.push(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bytes.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.poll_write(context, first)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
