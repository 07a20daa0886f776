//! What an authorization server granted to a connection, sealed in the vault:
//! the tokens, until when, and whether somebody must authorize anew.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::name::{FieldName, TenantId};
use host_model::resource::{Connection, Oauth2};
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// How long before its end a token is refreshed: clocks differ, and the
/// request that it goes into takes its time.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Which grant: a connection's credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GrantId {
    pub(crate) tenant: TenantId,
    pub(crate) connection: String,
    pub(crate) credential: FieldName,
}

impl GrantId {
    pub(crate) fn of(connection: &Connection, credential: &FieldName) -> Self {
        Self {
            tenant: connection.tenant.clone(),
            connection: connection.name.to_string(),
            credential: credential.clone(),
        }
    }
}

/// Tokens, wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The server, client and scopes that granted it. Others' tokens are nobody's.
    pub(crate) of: Digest,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// When the access token was given, and when it ends, if the server says.
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Why somebody must authorize anew.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

impl Grant {
    /// Whether the access token is good and will be for a while.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        // A quarter of a short life: else it would be refreshed all the time.
        let skew = |until: Timestamp| SKEW.min((until - self.since) / 4);
        self.refused.is_none() && self.until.is_none_or(|until| now < until - skew(until))
    }

    /// Whether the access token has not ended yet.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.refused.is_none() && self.until.is_none_or(|until| now < until)
    }

    /// Whether these are the same tokens: a rotation of keys changes where they lie, not them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |left: &str, right: &str| bool::from(left.as_bytes().ct_eq(right.as_bytes()));
        same(&self.access_token, &other.access_token)
            && same(self.refresh(), other.refresh())
            && self.refused == other.refused
    }

    fn refresh(&self) -> &str {
        self.refresh_token.as_deref().unwrap_or_default()
    }

    pub(crate) fn read(plain: &[u8]) -> Option<Self> {
        serde_json::from_slice(plain).ok()
    }

    pub(crate) fn write(&self) -> Zeroizing<Vec<u8>> {
        // Room for all of it: a buffer that grew would leave tokens behind.
        let room = 1_024 + 2 * (self.access_token.len() + self.refresh_token.as_ref().map_or(0, String::len));
        let mut plain = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *plain, self).unwrap_or_default();
        plain
    }
}

/// What tells one authorization server, client and set of scopes from another.
pub(crate) fn fingerprint(oauth: &Oauth2) -> Digest {
    let Oauth2 { token_url, client_id, scopes, .. } = oauth;
    Digest::of(format!("{token_url}\0{client_id}\0{}", scopes.join(" ")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(lifetime_s: Option<i64>) -> Grant {
        let since = Timestamp::UNIX_EPOCH;
        Grant {
            of: Digest::of(b""),
            access_token: "token".to_owned(),
            refresh_token: None,
            since,
            until: lifetime_s.map(|seconds| since + TimeDelta::seconds(seconds)),
            refused: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_token_is_refreshed_a_minute_before_its_end_or_in_its_last_quarter() {
        let hour = grant(Some(3_600));
        assert!(hour.is_fresh(at(3_539)) && !hour.is_fresh(at(3_540)));
        assert!(hour.is_valid(at(3_599)) && !hour.is_valid(at(3_600)));
        let short = grant(Some(40));
        assert!(short.is_fresh(at(29)) && !short.is_fresh(at(30)));
        assert!(grant(None).is_fresh(at(1_000_000)), "a server that names no end means none");
    }

    #[test]
    fn a_grant_that_was_refused_is_neither_fresh_nor_valid() {
        let mut refused = grant(None);
        refused.refused = Some("revoked".to_owned());
        let read = Grant::read(&refused.write()).unwrap();
        assert!(!read.is_fresh(at(0)) && !read.is_valid(at(0)));
        assert_eq!(read.access_token, "token");
    }
}
