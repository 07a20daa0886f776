//! A request as it arrived, and its parts as the schemes write them.

use std::net::IpAddr;

use chrono::DateTime;
use host_model::clock::Timestamp;
use host_model::resource::verify::TimeFormat;
use http::{HeaderMap, HeaderName};
use rustls_pki_types::CertificateDer;

use crate::Rejected;

/// The most digits of a time: milliseconds until the year 5138.
const MAX_DIGITS: usize = 14;

/// A request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Every header.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte; empty if the policy does not read it.
    pub body: &'a [u8],
    /// Who sent it, if that is known.
    pub peer: Option<IpAddr>,
    /// The client certificate whose key the sender has shown to hold, and what
    /// it sent along to vouch for it; empty if it showed none.
    pub certificates: &'a [CertificateDer<'static>],
}

impl<'a> Request<'a> {
    /// The only value of a header.
    pub(crate) fn one(&self, name: &HeaderName) -> Result<&'a str, Rejected> {
        self.any(name)?.ok_or_else(|| Rejected::Missing(name.clone()))
    }

    /// The only value of a header that may be left out.
    pub(crate) fn any(&self, name: &HeaderName) -> Result<Option<&'a str>, Rejected> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Rejected::Repeated(name.clone()));
        }
        value.to_str().map(Some).map_err(|_| Rejected::Malformed(name.clone()))
    }
}

/// Whether the time that a header says is near enough to now.
pub(crate) fn timely(
    text: &str,
    format: TimeFormat,
    header: &HeaderName,
    now: Timestamp,
    tolerance_s: u32,
) -> Result<(), Rejected> {
    near(time(text, format).ok_or_else(|| Rejected::Malformed(header.clone()))?, now, tolerance_s)
}

/// The time that a text says, one spelling for each.
fn time(text: &str, format: TimeFormat) -> Option<Timestamp> {
    let number = || {
        let plain = (1..=MAX_DIGITS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && !text.starts_with('0');
        plain.then(|| text.parse::<i64>().ok())?
    };
    match format {
        TimeFormat::Unix => DateTime::from_timestamp(number()?, 0),
        TimeFormat::UnixMs => DateTime::from_timestamp_millis(number()?),
        TimeFormat::Rfc3339 => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
    }
}

/// Whether a time is near enough to now, in whole seconds: what senders write.
fn near(then: Timestamp, now: Timestamp, tolerance_s: u32) -> Result<(), Rejected> {
    let age = now.timestamp().saturating_sub(then.timestamp());
    match age.unsigned_abs() {
        off if off <= u64::from(tolerance_s) => Ok(()),
        off if age > 0 => Err(Rejected::Old(off)),
        off => Err(Rejected::Early(off)),
    }
}
