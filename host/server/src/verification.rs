//! A stage of hooks: does the request come from whom its connection takes
//! requests from? Before any guest runs and any place is taken; nothing is written.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use host_egress::Vault;
use host_ingress::{Inbound, Refusal};
use host_model::clock::{Clock, Timestamp};
use host_model::resource::{Connection, Verify};
use host_webhooks::{Request, Secrets, Verified, verify};

/// How often a rejected request is logged: whoever sends forged ones must not
/// fill the disk. The others are counted.
const LOG_EVERY: TimeDelta = TimeDelta::seconds(1);

/// What it takes to verify a request.
pub(crate) struct Verification {
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) logged: Logged,
}

/// When a rejection was last logged, and how many were not since.
#[derive(Default)]
pub(crate) struct Logged(Mutex<(Option<Timestamp>, u64)>);

impl Verification {
    /// Refuses what the connection's `verify` does not vouch for. The body is
    /// read only if that takes it, and is there to be read again; a header
    /// that was a secret is gone.
    pub(crate) async fn verify(
        &self,
        connection: &Connection,
        inbound: &mut Inbound,
    ) -> Result<Verified, Refusal> {
        let name = &connection.name;
        let Some(policy) = &connection.verify else {
            return Err(Refusal::HooksClosed { connection: name.clone() });
        };
        let body = if policy.reads_body() { Box::pin(inbound.hold()).await? } else { bytes::Bytes::new() };
        let mut secrets = Vec::new();
        for secret in policy.secrets() {
            let value = Box::pin(self.vault.reveal_for_verification(&connection.tenant, secret)).await;
            secrets.extend(value.map_err(Refusal::internal)?.map(|value| (secret.clone(), value)));
        }
        let now = self.clock.now();
        let certificates = inbound.certificates.as_deref().unwrap_or_default();
        let request = Request { headers: &inbound.headers, body: &body, peer: inbound.peer, certificates };
        let verified = verify(policy, &Secrets::new(secrets), now, &request);
        for header in policy.secret_headers() {
            inbound.headers.remove(header);
        }
        verified.map_err(|rejected| {
            if let Some(unlogged) = self.logged.turn(now) {
                let tenant = &connection.tenant;
                let peer = inbound.peer.map(tracing::field::display);
                tracing::warn!(tenant.id = %tenant, connection = %name, peer, unlogged, "refused a request to a hook: {rejected}");
            }
            if rejected.is_ours() {
                Refusal::Unverifiable { connection: name.clone() }
            } else {
                Refusal::Unverified { challenge: challenge(policy) }
            }
        })
    }
}

impl Logged {
    /// Whether it is time to log again, and how many were not logged since the last.
    fn turn(&self, now: Timestamp) -> Option<u64> {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unlogged) = &mut *it;
        // A clock that was set back must not silence the log.
        if last.is_some_and(|last| (now - last).abs() < LOG_EVERY) {
            *unlogged += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unlogged))
    }
}

/// What a 401 must say (RFC 9110, 15.5.2). The same for every reason.
fn challenge(policy: &Verify) -> &'static str {
    match policy {
        Verify::Basic(_) => "Basic realm=\"hooks\"",
        Verify::Bearer(_) => "Bearer",
        Verify::Mtls(_) => "Certificate",
        _ => "Signature",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_forged_requests_is_one_line_a_second_and_a_count() {
        let logged = Logged::default();
        let at = |ms| Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(ms);
        assert_eq!(logged.turn(at(5_000)), Some(0));
        assert!((5_000..6_000).step_by(100).all(|ms| logged.turn(at(ms)).is_none()));
        assert_eq!(logged.turn(at(6_000)), Some(10));
        assert_eq!(logged.turn(at(1_000)), Some(0), "the clock was set back");
    }
}
