//! The record of one exchange, for the run's log: what was asked of whom and
//! what came of it, without anything that could be a secret.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use host_model::grants::Origin;
use http::{Method, StatusCode, Uri};
use tokio::time::Instant;

/// The most bytes of a path that are recorded; enough to tell endpoints apart.
const MAX_PATH: usize = 256;

/// An exchange under way or done. Clones are the same exchange; a streamed
/// body counts on after its answer was handed over.
#[derive(Clone, Debug)]
pub struct Exchange(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    method: Method,
    path: String,
    origin: OnceLock<Origin>,
    status: AtomicU16,
    sent: AtomicU64,
    received: AtomicU64,
    begun: Instant,
    micros: OnceLock<u64>,
}

/// What an exchange came to so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeInfo {
    /// The method.
    pub method: Method,
    /// Where it went, if the URL named an origin.
    pub origin: Option<Origin>,
    /// The path, cut to 256 bytes, without the query.
    pub path: String,
    /// The answer's status, if there was one.
    pub status: Option<StatusCode>,
    /// From the start to the end of the answer's body, or until now.
    pub micros: u64,
    /// Bytes of the request's body that were sent.
    pub sent: u64,
    /// Bytes of the answer's body that came.
    pub received: u64,
}

impl Exchange {
    pub(crate) fn begin(method: &Method, uri: &Uri) -> Self {
        let mut path = uri.path().to_owned();
        path.truncate(path.floor_char_boundary(MAX_PATH));
        Self(Arc::new(Progress {
            method: method.clone(),
            path,
            origin: OnceLock::new(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            begun: Instant::now(),
            micros: OnceLock::new(),
        }))
    }

    /// What it came to so far.
    pub fn info(&self) -> ExchangeInfo {
        let Progress { method, path, origin, status, sent, received, .. } = &*self.0;
        ExchangeInfo {
            method: method.clone(),
            origin: origin.get().cloned(),
            path: path.clone(),
            status: StatusCode::from_u16(status.load(Ordering::Relaxed)).ok(),
            micros: self.0.micros.get().copied().unwrap_or_else(|| self.elapsed()),
            sent: sent.load(Ordering::Relaxed),
            received: received.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn goes_to(&self, origin: &Origin) {
        self.0.origin.set(origin.clone()).ok();
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(crate) fn add_sent(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: u64) {
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Stops its clock; the first stop counts.
    pub(crate) fn ended(&self) {
        self.0.micros.set(self.elapsed()).ok();
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
