//! Chains: where they lie, and what their heads say.

use std::fmt;
use std::str::FromStr;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::name::TenantId;
use host_store::{Store, StoreError, Version, key};
use serde::{Deserialize, Serialize};

/// How the host's own chain is written; no tenant has this name.
const HOST: &str = "!";

/// Whose changes a chain tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Chain {
    /// What belongs to no tenant: packages, keys, operators' tokens, failed logins.
    Host,
    /// A tenant's things, itself included.
    Tenant(TenantId),
}

impl Chain {
    /// The chain of what belongs to this tenant, or to none.
    pub fn of(tenant: Option<&TenantId>) -> Self {
        tenant.map_or(Self::Host, |tenant| Self::Tenant(tenant.clone()))
    }

    /// Whose it is, if it is a tenant's.
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Host => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }

    fn name(&self) -> &str {
        self.tenant().map_or(HOST, TenantId::as_str)
    }

    /// Where the entries lie, in the host's own space: they are no tenant's
    /// stored bytes, and stay when the tenant goes.
    pub(crate) fn entries(&self) -> key::Key {
        all_entries().name(self.name())
    }

    pub(crate) fn entry(&self, seq: u64) -> key::RawKey {
        self.entries().bytes(&seq.to_be_bytes())
    }

    pub(crate) fn head(&self) -> key::Key {
        all_heads().name(self.name())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Chain {
    type Err = host_model::name::BadName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == HOST { Ok(Self::Host) } else { text.parse().map(Self::Tenant) }
    }
}

impl TryFrom<String> for Chain {
    type Error = host_model::name::BadName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> String {
        chain.to_string()
    }
}

pub(crate) fn all_entries() -> key::Key {
    key::host().kind("audit")
}

pub(crate) fn all_heads() -> key::Key {
    key::host().kind("audit-head")
}

/// Where a chain ends and begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// Whose it is.
    pub chain: Chain,
    /// The number of its last entry; the first ever was 1.
    pub seq: u64,
    /// The hash of that entry.
    pub digest: Digest,
    /// When that was.
    pub at: Timestamp,
    /// The number of the oldest entry that is kept.
    pub first: u64,
    /// What the oldest entry names as the hash of the one before it: that of
    /// the last entry that was removed, or of nothing.
    pub anchor: Digest,
}

impl Head {
    /// Of a chain that has nothing yet.
    pub(crate) fn new(chain: Chain) -> Self {
        let nothing = Digest::from([0; 32]);
        Self { chain, seq: 0, digest: nothing, at: Timestamp::UNIX_EPOCH, first: 1, anchor: nothing }
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(value).map_err(|error| {
            StoreError::Engine(format!("a head of the audit log cannot be read: {error}").into())
        })
    }

    /// As it is stored, and as of when.
    pub(crate) async fn read(
        store: &dyn Store,
        chain: &Chain,
    ) -> Result<Option<(Self, Version)>, StoreError> {
        let entry = store.get(&chain.head()).await?;
        entry.map(|entry| Ok((Self::decode(&entry.value)?, entry.version))).transpose()
    }
}
