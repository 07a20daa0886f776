//! What the operator lets any connection have at most, whatever its `egress:` says.

use std::time::Duration;

use host_model::resource::EgressSettings;
use host_model::resource::egress::{
    CONNECT_TIMEOUT, CacheSpec, MAX_CACHE_BYTES, MAX_CACHE_ENTRIES, MAX_CONCURRENCY, MAX_REDIRECTS,
    MAX_TRIES, RetrySpec,
};

/// The most bytes that all caches of a host hold together, unless the operator
/// says otherwise: a sixteenth of a small host's 4 GiB.
const ALL_CACHES: u64 = 256 << 20;

/// What any connection may have at most. The default is what can be written at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// Redirects that are followed.
    pub redirects: u32,
    /// Exchanges of one connection at once; at least one.
    pub concurrency: u32,
    /// Until there is a connection.
    pub connect: Duration,
    /// The whole exchange, if the operator bounds it beyond the call's wall time.
    pub total: Option<Duration>,
    /// Bytes of one request's body.
    pub request_bytes: u64,
    /// Bytes of one answer's body.
    pub answer_bytes: u64,
    /// How often one request is sent; one is never again.
    pub tries: u32,
    /// Bytes of one connection's cache; none keeps nothing.
    pub cache_bytes: u64,
    /// Answers in one connection's cache.
    pub cache_entries: u32,
    /// Bytes of all caches of the host together.
    pub all_caches_bytes: u64,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            redirects: MAX_REDIRECTS,
            concurrency: MAX_CONCURRENCY,
            connect: CONNECT_TIMEOUT,
            total: None,
            request_bytes: u64::MAX,
            answer_bytes: u64::MAX,
            tries: MAX_TRIES,
            cache_bytes: MAX_CACHE_BYTES,
            cache_entries: MAX_CACHE_ENTRIES,
            all_caches_bytes: ALL_CACHES,
        }
    }
}

impl Ceilings {
    /// A connection's settings, none of them above.
    pub(crate) fn cap(&self, wish: EgressSettings) -> EgressSettings {
        let sooner = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        let retry = wish.retry.map(|it| RetrySpec { tries: it.tries.min(self.tries), ..it });
        let cache = wish.cache.map(|it| CacheSpec {
            bytes: it.bytes.min(self.cache_bytes),
            entries: it.entries.min(self.cache_entries),
            ..it
        });
        EgressSettings {
            redirects: wish.redirects.min(self.redirects),
            concurrency: wish.concurrency.min(self.concurrency).max(1),
            connect: wish.connect.min(self.connect),
            total: sooner(wish.total, self.total),
            request_bytes: wish.request_bytes.min(self.request_bytes),
            answer_bytes: wish.answer_bytes.min(self.answer_bytes),
            retry: retry.filter(|it| it.tries > 1),
            cache: cache.filter(|it| it.bytes > 0 && it.entries > 0),
            ..wish
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_lowers_and_never_raises() {
        let wish = EgressSettings {
            redirects: 5,
            total: Some(Duration::from_secs(2)),
            retry: Some(RetrySpec::default()),
            cache: Some(CacheSpec::default()),
            ..EgressSettings::default()
        };
        assert_eq!(Ceilings::default().cap(wish), wish);
        let low = Ceilings {
            redirects: 1,
            concurrency: 4,
            connect: Duration::from_secs(1),
            total: Some(Duration::from_secs(3)),
            request_bytes: 10,
            answer_bytes: 20,
            tries: 2,
            cache_bytes: 30,
            ..Ceilings::default()
        };
        let capped = low.cap(wish);
        assert_eq!((capped.redirects, capped.concurrency, capped.connect), (1, 4, Duration::from_secs(1)));
        assert_eq!((capped.total, capped.request_bytes, capped.answer_bytes), (wish.total, 10, 20));
        assert_eq!((capped.retry.unwrap().tries, capped.cache.unwrap().bytes), (2, 30));
        let off = Ceilings { tries: 1, cache_bytes: 0, concurrency: 0, ..low }.cap(wish);
        assert_eq!((off.retry, off.cache, off.concurrency), (None, None, 1));
        assert_eq!(low.cap(EgressSettings::default()).total, Some(Duration::from_secs(3)));
    }
}
