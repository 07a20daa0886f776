//! The record of one exchange, for the run's log: what was asked of whom and
//! what came of it, without anything that could be a secret.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use host_model::grants::Origin;
use http::{Method, StatusCode, Uri};
use tokio::time::Instant;

/// The most bytes of a path that are recorded; enough to tell endpoints apart.
const MAX_PATH: usize = 256;

/// Waits below it are not worth a word in a log.
const LONG_WAIT: Duration = Duration::from_millis(1);

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
    tries: AtomicU32,
    redirects: AtomicU32,
    waited: AtomicU64,
    source: AtomicU8,
    refused: OnceLock<Refusal>,
    breaker: OnceLock<&'static str>,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// From the outside system.
    #[default]
    Outside,
    /// From the connection's cache.
    Cache,
    /// From the cache, after the outside system said that it still holds.
    Revalidated,
    /// From the cache though it is stale, since the outside system failed.
    Stale,
    /// From another exchange of the connection that asked the same at the same time.
    Shared,
}

/// Why the host answered in place of the outside system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Over the rate, the connection's own or the outside system's.
    Rate,
    /// The circuit breaker is open.
    Breaker,
}

impl Refusal {
    /// One word for headers and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Breaker => "breaker",
        }
    }
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
    /// How often it was sent, redirects not counted; none if it did not come to that.
    pub tries: u32,
    /// How many redirects were followed.
    pub redirects: u32,
    /// How long it waited for its turn: for the rate, a place, or a retry.
    pub waited: Duration,
    /// Where the answer came from.
    pub source: Source,
    /// Why the host answered itself, if it did.
    pub refused: Option<Refusal>,
    /// Where the circuit breaker stood when it went out, if there is one.
    pub breaker: Option<&'static str>,
}

/// What is out of the ordinary, for a log line: `, 2 tries, waited 30 ms`.
impl std::fmt::Display for ExchangeInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, origin, path, status, micros, .. } = self;
        let origin = origin.as_ref().map(ToString::to_string).unwrap_or_default();
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.as_u16().to_string());
        write!(f, "{method} {origin}{path}: {status} in {micros} us")?;
        match self.source {
            Source::Outside => {}
            Source::Cache => f.write_str(", from cache")?,
            Source::Revalidated => f.write_str(", from cache, revalidated")?,
            Source::Stale => f.write_str(", from cache, stale")?,
            Source::Shared => f.write_str(", coalesced")?,
        }
        if self.tries > 1 {
            write!(f, ", {} tries", self.tries)?;
        }
        if self.redirects > 0 {
            write!(f, ", redirects {}", self.redirects)?;
        }
        if self.waited >= LONG_WAIT {
            write!(f, ", waited {} ms", self.waited.as_millis())?;
        }
        if let Some(refused) = self.refused {
            write!(f, ", refused by the host ({})", refused.as_str())?;
        }
        match self.breaker {
            None | Some("closed") => Ok(()),
            Some(state) => write!(f, ", breaker {state}"),
        }
    }
}

impl Exchange {
    /// One that begins now.
    pub fn begin(method: &Method, uri: &Uri) -> Self {
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
            tries: AtomicU32::new(0),
            redirects: AtomicU32::new(0),
            waited: AtomicU64::new(0),
            source: AtomicU8::new(Source::Outside as u8),
            refused: OnceLock::new(),
            breaker: OnceLock::new(),
        }))
    }

    /// What it came to so far.
    pub fn info(&self) -> ExchangeInfo {
        let Progress { method, path, origin, status, sent, received, .. } = &*self.0;
        let source = [Source::Cache, Source::Revalidated, Source::Stale, Source::Shared]
            .into_iter()
            .find(|source| *source as u8 == self.0.source.load(Ordering::Relaxed));
        ExchangeInfo {
            method: method.clone(),
            origin: origin.get().cloned(),
            path: path.clone(),
            status: StatusCode::from_u16(status.load(Ordering::Relaxed)).ok(),
            micros: self.0.micros.get().copied().unwrap_or_else(|| self.elapsed()),
            sent: sent.load(Ordering::Relaxed),
            received: received.load(Ordering::Relaxed),
            tries: self.0.tries.load(Ordering::Relaxed),
            redirects: self.0.redirects.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.0.waited.load(Ordering::Relaxed)),
            source: source.unwrap_or_default(),
            refused: self.0.refused.get().copied(),
            breaker: self.0.breaker.get().copied(),
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

    pub(crate) fn tried(&self) {
        self.0.tries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn redirected(&self) {
        self.0.redirects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, wait: Duration) {
        self.0.waited.fetch_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn came_from(&self, source: Source) {
        self.0.source.store(source as u8, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, why: Refusal) {
        self.0.refused.set(why).ok();
    }

    pub(crate) fn breaker_is(&self, state: &'static str) {
        self.0.breaker.set(state).ok();
    }

    /// Stops its clock; the first stop counts.
    pub(crate) fn ended(&self) {
        self.0.micros.set(self.elapsed()).ok();
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
