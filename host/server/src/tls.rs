//! `[tls]` of `wharf.toml`: a second listener, and when its certificate ends.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use host_ingress::{Tls, TlsError, TlsFiles};
use host_model::clock::Timestamp;
use serde::Deserialize;

/// How long before its end a certificate is warned of: time enough for people
/// to get another one.
const WARN_BEFORE: TimeDelta = TimeDelta::days(14);

/// `[tls]` as the operator writes it. Relative paths start where the host does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsListener {
    /// Where to listen for TLS, beside `[server] listen`.
    pub listen: SocketAddr,
    /// The host's certificate and those that vouch for it, in PEM.
    certificate: PathBuf,
    /// Its private key, in PEM.
    key: PathBuf,
    /// Whether senders are asked for a certificate of their own, for `verify: mtls`.
    #[serde(default = "yes")]
    client_certificates: bool,
}

fn yes() -> bool {
    true
}

impl TlsListener {
    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Tls, TlsError> {
        let files = TlsFiles { certificate: self.certificate.clone(), key: self.key.clone() };
        Tls::load(files, self.client_certificates)
    }
}

/// What an operator should know of a certificate that ends then.
pub(crate) fn warning(expires: Timestamp, now: Timestamp) -> Option<String> {
    let left = expires - now;
    if left > WARN_BEFORE {
        return None;
    }
    let when = match left.num_days() {
        _ if left < TimeDelta::zero() => "is over since".to_owned(),
        days => format!("ends in {days} days, at"),
    };
    Some(format!(
        "the TLS certificate {when} {expires}: replace the files that `[tls]` names, the host takes them up"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_from_fourteen_days_before_its_end() {
        let end = Timestamp::UNIX_EPOCH + TimeDelta::days(1_000);
        let before = |left| warning(end, end - left);
        assert_eq!(before(TimeDelta::days(14) + TimeDelta::seconds(1)), None);
        assert!(before(TimeDelta::days(14)).unwrap().contains("ends in 14 days"));
        assert!(before(TimeDelta::hours(1)).unwrap().contains("ends in 0 days"));
        assert!(before(TimeDelta::seconds(-1)).unwrap().contains("is over since"));
    }
}
