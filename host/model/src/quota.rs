//! What a tenant may use in all, beside what one call may: see [`crate::bounds`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What is counted for a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quota {
    /// Runs accepted since midnight, UTC.
    RunsPerDay,
    /// Runs that are accepted and have not ended.
    RunsPending,
    /// Bytes in the store: set-up, runs, kept values, with their keys.
    StoredBytes,
    /// Requests to outside systems in this minute.
    OutboundPerMinute,
    /// Bytes of log text since midnight, UTC.
    LogBytesPerDay,
    /// Bytes of memory of the calls that are going on, beyond the first MiB of each.
    MemoryBytes,
    /// Versions of packages that its connections and workflows name.
    Packages,
}

impl Quota {
    /// All of them, in the order that they are shown in.
    pub const ALL: [Self; 7] = [
        Self::RunsPerDay,
        Self::RunsPending,
        Self::StoredBytes,
        Self::OutboundPerMinute,
        Self::LogBytesPerDay,
        Self::MemoryBytes,
        Self::Packages,
    ];

    /// The word in files, the API and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunsPerDay => "runs-per-day",
            Self::RunsPending => "runs-pending",
            Self::StoredBytes => "stored-bytes",
            Self::OutboundPerMinute => "outbound-per-minute",
            Self::LogBytesPerDay => "log-bytes-per-day",
            Self::MemoryBytes => "memory-bytes",
            Self::Packages => "packages",
        }
    }

    /// What a tenant that passed it can do, besides asking the operator for more.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::RunsPerDay | Self::OutboundPerMinute | Self::LogBytesPerDay => "wait until it resets",
            Self::RunsPending => "let runs end, or cancel some",
            Self::MemoryBytes => "let fewer calls go on at once, or lower what each may have",
            Self::Packages => "use the same version of a package everywhere, or delete what nobody needs",
            Self::StoredBytes => "keep runs for a shorter time, or delete kept values",
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `quotas` as people write them, in a tenant's document or in `wharf.toml`;
/// what is left out is as the operator's default says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct QuotasSpec {
    /// Runs accepted in a day, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_per_day: Option<u64>,
    /// Runs accepted and not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_pending: Option<u64>,
    /// Bytes in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// Requests to outside systems in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_per_minute: Option<u64>,
    /// Bytes of log text in a day, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes_per_day: Option<u64>,
    /// Bytes of memory of the calls that are going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Versions of packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<u64>,
}

impl QuotasSpec {
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is written for one of them.
    pub fn get(&self, quota: Quota) -> Option<u64> {
        match quota {
            Quota::RunsPerDay => self.runs_per_day,
            Quota::RunsPending => self.runs_pending,
            Quota::StoredBytes => self.stored_bytes,
            Quota::OutboundPerMinute => self.outbound_per_minute,
            Quota::LogBytesPerDay => self.log_bytes_per_day,
            Quota::MemoryBytes => self.memory_bytes,
            Quota::Packages => self.packages,
        }
    }

    /// A tenant's limit, if this is what its document says and `usual` what the operator does.
    pub fn limit(&self, quota: Quota, usual: &Self) -> u64 {
        self.get(quota).or(usual.get(quota)).unwrap_or_else(|| Self::of_nobody(quota))
    }

    /// The limit where neither tenant nor operator says one: so much that only
    /// a mistake or an attack comes near.
    fn of_nobody(quota: Quota) -> u64 {
        match quota {
            Quota::RunsPerDay => 10_000_000,
            Quota::RunsPending => 100_000,
            Quota::StoredBytes => 64 << 30,
            Quota::OutboundPerMinute => 1_000_000,
            Quota::LogBytesPerDay => 1 << 30,
            Quota::MemoryBytes => 4 << 30,
            Quota::Packages => 1_000,
        }
    }
}

/// How a tenant stands with one of its quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuotaUse {
    /// Which one.
    pub quota: Quota,
    /// What is used.
    pub used: u64,
    /// What may be.
    pub limit: u64,
    /// Four fifths are used.
    pub near: bool,
    /// When it is counted from nothing again; not for what has no period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

/// A quota that would be passed. Nothing was taken off it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tenant's quota `{quota}` is used up: {used} of {limit}; {}, or ask the operator for more",
    quota.remedy()
)]
pub struct QuotaPassed {
    /// Which one.
    pub quota: Quota,
    /// What is used.
    pub used: u64,
    /// What may be.
    pub limit: u64,
    /// Worth trying again after so many seconds.
    pub retry_after_s: u64,
}
