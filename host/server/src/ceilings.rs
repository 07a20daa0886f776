//! `[egress.ceilings]` of `wharf.toml`: what any connection's `egress:` may come to.

use std::time::Duration;

use anyhow::ensure;
use host_egress::Ceilings;
use serde::Deserialize;

/// As the operator writes it. Each lowers what a connection asks for; the
/// default of each but the last is the most that can be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct CeilingsFile {
    /// Redirects that are followed: 0 to 10.
    redirects: Option<u32>,
    /// Exchanges of one connection at once: 1 to 32.
    concurrency: Option<u32>,
    /// Milliseconds until there is a connection: 1 to 10,000.
    connect_ms: Option<u64>,
    /// Milliseconds of a whole exchange; the call's wall time if left out.
    total_ms: Option<u64>,
    /// Bytes of one request's body; the call's `body-bytes` if left out.
    request_bytes: Option<u64>,
    /// Bytes of one answer's body; the same.
    answer_bytes: Option<u64>,
    /// How often one request is sent: 1 to 5.
    tries: Option<u32>,
    /// Bytes of one connection's cache: 0 to 16 MiB.
    cache_bytes: Option<u64>,
    /// Answers in one connection's cache: 0 to 10,000.
    cache_entries: Option<u32>,
    /// Bytes of all caches of the host together; 256 MiB if left out.
    all_caches_bytes: Option<u64>,
}

impl CeilingsFile {
    pub(crate) fn resolve(&self) -> anyhow::Result<Ceilings> {
        let most = Ceilings::default();
        let connect = u64::try_from(most.connect.as_millis()).unwrap_or(u64::MAX);
        if let Some(ms) = self.total_ms {
            within("total-ms", Some(ms), 1, u64::MAX)?;
        }
        Ok(Ceilings {
            redirects: within("redirects", self.redirects, 0, most.redirects)?,
            concurrency: within("concurrency", self.concurrency, 1, most.concurrency)?,
            connect: Duration::from_millis(within("connect-ms", self.connect_ms, 1, connect)?),
            total: self.total_ms.map(Duration::from_millis),
            request_bytes: self.request_bytes.unwrap_or(most.request_bytes),
            answer_bytes: self.answer_bytes.unwrap_or(most.answer_bytes),
            tries: within("tries", self.tries, 1, most.tries)?,
            cache_bytes: within("cache-bytes", self.cache_bytes, 0, most.cache_bytes)?,
            cache_entries: within("cache-entries", self.cache_entries, 0, most.cache_entries)?,
            all_caches_bytes: self.all_caches_bytes.unwrap_or(most.all_caches_bytes),
        })
    }
}

/// What is written, or the most.
fn within<N: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    got: Option<N>,
    least: N,
    most: N,
) -> anyhow::Result<N> {
    let got = got.unwrap_or(most);
    ensure!(got >= least && got <= most, "[egress.ceilings] `{key}` is {got}, it takes {least} to {most}");
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Ceilings, String> {
        let file: CeilingsFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.resolve().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_written_is_what_connections_may_ask_for() {
        assert_eq!(read(""), Ok(Ceilings::default()));
    }

    #[test]
    fn a_ceiling_out_of_bounds_is_told_with_what_it_takes() {
        let low = read(
            "redirects = 0\nconcurrency = 4\nconnect-ms = 500\ntotal-ms = 2000\ntries = 1\ncache-bytes = 0",
        )
        .unwrap();
        assert_eq!((low.redirects, low.concurrency, low.tries, low.cache_bytes), (0, 4, 1, 0));
        assert_eq!((low.connect, low.total), (Duration::from_millis(500), Some(Duration::from_secs(2))));
        for (text, want) in [
            ("concurrency = 0", "`concurrency` is 0, it takes 1 to 32"),
            ("concurrency = 33", "`concurrency` is 33, it takes 1 to 32"),
            ("redirects = 11", "it takes 0 to 10"),
            ("connect-ms = 10001", "it takes 1 to 10000"),
            ("total-ms = 0", "`total-ms` is 0"),
            ("tries = 0", "it takes 1 to 5"),
            ("try = 1", "unknown field `try`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
