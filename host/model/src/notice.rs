//! What a tenant should hear of though nobody of it asked.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::name::TenantId;
use crate::quota::Quota;

/// The tenant's topic that notices are published to: a workflow that
/// subscribes passes them on, by mail or chat.
pub const NOTICES: &str = "wharf-notices";

/// One of them; as JSON, `{"notice": "needs-authorization", "connection": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Notice {
    /// The other side does not take a connection's grant any more.
    NeedsAuthorization {
        /// The connection.
        connection: String,
        /// In the server's words, or ours.
        why: String,
    },
    /// Four fifths of a quota are used.
    QuotaNear {
        /// Which.
        quota: Quota,
        /// So much is used.
        used: u64,
        /// Of so much.
        limit: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsAuthorization { connection, why } => write!(
                f,
                "connection `{connection}` needs authorization: {why}; run `wharf connection authorize {connection}`"
            ),
            Self::QuotaNear { quota, used, limit } => {
                write!(f, "{used} of {limit} of the quota `{quota}` are used: {}", quota.remedy())
            }
        }
    }
}

/// Who passes notices on. Telling never waits.
pub trait Notices: Send + Sync + 'static {
    /// Passes one on to a tenant.
    fn tell(&self, tenant: &TenantId, notice: Notice);
}

/// Keeps what tenants were told, for tests.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Vec<(TenantId, Notice)>>);

impl Heard {
    /// What was told since this was asked last.
    pub fn take(&self) -> Vec<(TenantId, Notice)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Notices for Heard {
    fn tell(&self, tenant: &TenantId, notice: Notice) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((tenant.clone(), notice));
    }
}

/// Passes nothing on.
impl Notices for () {
    fn tell(&self, _: &TenantId, _: Notice) {}
}
