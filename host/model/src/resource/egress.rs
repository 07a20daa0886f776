//! How a connection's requests behave towards the outside: `egress:`, as
//! written and as used. What is left out is off, or as wide as the host allows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most redirects that are followed: what browsers and libraries commonly
/// take at half their limit; more is a loop.
pub const MAX_REDIRECTS: u32 = 10;
/// The most exchanges of one connection at once, streamed answers included,
/// so that one connection cannot take all descriptors. Others wait, in time.
pub const MAX_CONCURRENCY: u32 = 32;
/// The most requests of a rate: finer ones are no limit in practice.
pub const MAX_REQUESTS: u32 = 1_000_000;
/// The longest time that a rate is counted over: a day, as quotas are sold.
pub const MAX_PER_S: u32 = 86_400;
/// The longest timeout that can be written; the call's own deadline is shorter.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// How long a connection to an upstream may take to come up: some retransmits
/// of a lost first packet, and TLS on top. A slower one is as good as down.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most times that one request is sent: more hammers a system that is down.
pub const MAX_TRIES: u32 = 5;
/// The longest pause between two tries: a call waits for it.
pub const MAX_PAUSE_MS: u64 = 60_000;
/// The most failures before a breaker opens.
pub const MAX_FAILURES: u32 = 1_000;
/// The longest that a breaker stays open before it probes.
pub const MAX_OPEN_S: u32 = 3_600;
/// The most probes at once.
pub const MAX_PROBES: u32 = 10;
/// The most bytes of one connection's cache.
pub const MAX_CACHE_BYTES: u64 = 16 << 20;
/// The most answers in one connection's cache.
pub const MAX_CACHE_ENTRIES: u32 = 10_000;
/// The longest that a stale answer may stand in for a failure: a day.
pub const MAX_STALE_S: u32 = 86_400;

/// `egress:` of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EgressSpec {
    /// How many redirects are followed. None if left out: a redirect is an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirects: Option<u32>,
    /// How many exchanges may go on at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateSpec>,
    /// How long.
    #[serde(skip_serializing_if = "TimeoutsSpec::is_empty")]
    pub timeouts: TimeoutsSpec,
    /// Bytes of one request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// Bytes of one answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_bytes: Option<u64>,
    /// Whether a request that may be repeated is sent again when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySpec>,
    /// Whether an origin that fails is left alone for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerSpec>,
    /// Whether equal reads under way share one exchange.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub coalesce: bool,
    /// Whether answers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
}

/// `rate:` Also makes the host heed what the outside system says of its own limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RateSpec {
    /// So many requests. If left out, only what the outside system says counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// In so many seconds; one if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_s: Option<u32>,
    /// So many may come at once after a pause; `requests` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// `timeouts:`, in milliseconds. The call's own deadline holds besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TimeoutsSpec {
    /// Until there is a connection, TLS included; ten seconds if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From sending a request to its answer's status line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Between two pieces of an answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// The whole exchange: waiting, tries, redirects and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
}

impl TimeoutsSpec {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `retry:`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RetrySpec {
    /// How often one request is sent at most, the first time included.
    pub tries: u32,
    /// The first pause; it doubles, and any part of it up to the whole is waited.
    pub pause_ms: u64,
    /// The longest pause.
    pub longest_pause_ms: u64,
}

impl Default for RetrySpec {
    fn default() -> Self {
        Self { tries: 3, pause_ms: 200, longest_pause_ms: 5_000 }
    }
}

/// `breaker:`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BreakerSpec {
    /// It opens after so many failures of one origin in a row.
    pub failures: u32,
    /// So long it stays open before it probes.
    pub open_s: u32,
    /// So many probes go out at once, and as many must succeed for it to close.
    pub probes: u32,
}

impl Default for BreakerSpec {
    fn default() -> Self {
        Self { failures: 5, open_s: 30, probes: 1 }
    }
}

/// `cache:`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheSpec {
    /// Bytes of all answers.
    pub bytes: u64,
    /// Answers.
    pub entries: u32,
    /// So long an answer that is stale may stand in for a failure.
    pub stale_if_error_s: u32,
}

impl Default for CacheSpec {
    fn default() -> Self {
        Self { bytes: 1 << 20, entries: 200, stale_if_error_s: 0 }
    }
}

/// Why an `egress:` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("egress: `{key}` is {got}, it takes {least} to {most}")]
pub struct BadEgress {
    key: &'static str,
    got: u64,
    least: u64,
    most: u64,
}

/// How a connection's requests behave, as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressSettings {
    /// Redirects that are followed.
    pub redirects: u32,
    /// Exchanges at once.
    pub concurrency: u32,
    /// How often, if that is limited.
    pub rate: Option<Rate>,
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the answer's status line.
    pub first_byte: Option<Duration>,
    /// Between two pieces of an answer's body.
    pub idle: Option<Duration>,
    /// The whole exchange.
    pub total: Option<Duration>,
    /// Bytes of one request's body.
    pub request_bytes: u64,
    /// Bytes of one answer's body.
    pub answer_bytes: u64,
    /// Whether and how requests are sent again.
    pub retry: Option<RetrySpec>,
    /// Whether and when an origin is left alone.
    pub breaker: Option<BreakerSpec>,
    /// Whether equal reads share an exchange.
    pub coalesce: bool,
    /// Whether and how answers are kept.
    pub cache: Option<CacheSpec>,
}

/// A rate, as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that one request takes up; nothing if only the outside system's word counts.
    pub each: Duration,
    /// So many may come at once after a pause.
    pub burst: u32,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            redirects: 0,
            concurrency: MAX_CONCURRENCY,
            rate: None,
            connect: CONNECT_TIMEOUT,
            first_byte: None,
            idle: None,
            total: None,
            request_bytes: u64::MAX,
            answer_bytes: u64::MAX,
            retry: None,
            breaker: None,
            coalesce: false,
            cache: None,
        }
    }
}

impl EgressSpec {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What it says, checked once.
    pub fn settings(&self) -> Result<EgressSettings, BadEgress> {
        let usual = EgressSettings::default();
        let timeouts = &self.timeouts;
        let connect =
            timeout("connect-ms", timeouts.connect_ms)?.map_or(usual.connect, |it| it.min(usual.connect));
        if let Some(RetrySpec { tries, pause_ms, longest_pause_ms }) = self.retry {
            within("tries", tries, 2, MAX_TRIES)?;
            within("pause-ms", pause_ms, 1, MAX_PAUSE_MS)?;
            within("longest-pause-ms", longest_pause_ms, pause_ms, MAX_PAUSE_MS)?;
        }
        if let Some(BreakerSpec { failures, open_s, probes }) = self.breaker {
            within("failures", failures, 1, MAX_FAILURES)?;
            within("open-s", open_s, 1, MAX_OPEN_S)?;
            within("probes", probes, 1, MAX_PROBES)?;
        }
        if let Some(CacheSpec { bytes, entries, stale_if_error_s }) = self.cache {
            within("bytes", bytes, 1, MAX_CACHE_BYTES)?;
            within("entries", entries, 1, MAX_CACHE_ENTRIES)?;
            within("stale-if-error-s", stale_if_error_s, 0, MAX_STALE_S)?;
        }
        Ok(EgressSettings {
            redirects: within("redirects", self.redirects.unwrap_or(0), 0, MAX_REDIRECTS)?,
            concurrency: within(
                "concurrency",
                self.concurrency.unwrap_or(usual.concurrency),
                1,
                MAX_CONCURRENCY,
            )?,
            rate: self.rate.map(|rate| rate.settings()).transpose()?,
            connect,
            first_byte: timeout("first-byte-ms", timeouts.first_byte_ms)?,
            idle: timeout("idle-ms", timeouts.idle_ms)?,
            total: timeout("total-ms", timeouts.total_ms)?,
            request_bytes: self.request_bytes.unwrap_or(usual.request_bytes),
            answer_bytes: self.answer_bytes.unwrap_or(usual.answer_bytes),
            retry: self.retry,
            breaker: self.breaker,
            coalesce: self.coalesce,
            cache: self.cache,
        })
    }
}

impl RateSpec {
    fn settings(self) -> Result<Rate, BadEgress> {
        let per_s = within("per-s", self.per_s.unwrap_or(1), 1, MAX_PER_S)?;
        let requests = self.requests.map(|it| within("requests", it, 1, MAX_REQUESTS)).transpose()?;
        let burst = within("burst", self.burst.or(requests).unwrap_or(1), 1, MAX_REQUESTS)?;
        let each = requests.map_or(Duration::ZERO, |requests| Duration::from_secs(per_s.into()) / requests);
        Ok(Rate { each, burst })
    }
}

fn timeout(key: &'static str, ms: Option<u64>) -> Result<Option<Duration>, BadEgress> {
    ms.map(|ms| within(key, ms, 1, MAX_TIMEOUT_MS).map(Duration::from_millis)).transpose()
}

fn within<N: Copy + Into<u64>>(key: &'static str, got: N, least: N, most: N) -> Result<N, BadEgress> {
    let (value, least, most) = (got.into(), least.into(), most.into());
    if (least..=most).contains(&value) { Ok(got) } else { Err(BadEgress { key, got: value, least, most }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: serde_json::Value) -> Result<EgressSettings, String> {
        let spec: EgressSpec = serde_json::from_value(value).map_err(|error| error.to_string())?;
        spec.settings().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_written_is_nothing_switched_on() {
        assert_eq!(settings(json!({})), Ok(EgressSettings::default()));
        assert!(EgressSpec::default().is_empty());
    }

    #[test]
    fn a_rate_is_the_time_that_one_request_takes_up() {
        let rate = |value| settings(json!({ "rate": value })).unwrap().rate.unwrap();
        assert_eq!(rate(json!({})), Rate { each: Duration::ZERO, burst: 1 });
        assert_eq!(rate(json!({ "requests": 10 })), Rate { each: Duration::from_millis(100), burst: 10 });
        let slow = json!({ "requests": 90, "per-s": 60, "burst": 1 });
        assert_eq!(rate(slow), Rate { each: Duration::from_secs(60) / 90, burst: 1 });
    }

    #[test]
    fn a_section_may_be_empty_and_has_its_defaults_then() {
        let on = settings(json!({ "retry": {}, "breaker": {}, "cache": {} })).unwrap();
        assert_eq!(on.retry.unwrap().tries, 3);
        assert_eq!(on.breaker.unwrap().failures, 5);
        assert_eq!(on.cache.unwrap().entries, 200);
    }

    #[test]
    fn nobody_waits_longer_for_a_connection_than_the_host_does() {
        let connect = |ms: u64| settings(json!({ "timeouts": { "connect-ms": ms } })).unwrap().connect;
        assert_eq!((connect(5), connect(60_000)), (Duration::from_millis(5), CONNECT_TIMEOUT));
    }

    #[test]
    fn what_is_out_of_bounds_names_its_key_and_what_it_takes() {
        for (written, want) in [
            (json!({ "redirects": 11 }), "`redirects` is 11, it takes 0 to 10"),
            (json!({ "concurrency": 0 }), "`concurrency` is 0, it takes 1 to 32"),
            (json!({ "rate": { "requests": 0 } }), "`requests` is 0"),
            (json!({ "rate": { "per-s": 86_401 } }), "`per-s` is 86401"),
            (json!({ "timeouts": { "idle-ms": 0 } }), "`idle-ms` is 0"),
            (json!({ "retry": { "tries": 6 } }), "`tries` is 6, it takes 2 to 5"),
            (json!({ "retry": { "pause-ms": 9_000 } }), "`longest-pause-ms` is 5000, it takes 9000 to 60000"),
            (json!({ "breaker": { "probes": 11 } }), "`probes` is 11"),
            (json!({ "cache": { "bytes": 1_u64 << 30 } }), "`bytes` is 1073741824"),
            (json!({ "cache": { "entries": 0 } }), "`entries` is 0"),
            (json!({ "breaker": { "opens": 1 } }), "unknown field `opens`"),
            (json!({ "redirect": 1 }), "unknown field `redirect`"),
        ] {
            let error = settings(written).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
