//! What the operator allows on top of the grants, and the second gate.
//!
//! Without a word from the operator, only public addresses may be dialled.
//! Pure: the caller brings what a resolver said.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use host_model::grants::{HostPattern, Origin};
use serde::Deserialize;

use crate::address::{canonical, inside, shares_prefix};

/// The operator's word on where requests may go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Ranges that are not public and may be dialled all the same.
    pub open: Vec<Opening>,
    /// What nobody may reach, whatever the grants say; stronger than `open`.
    pub closed: Vec<Closing>,
}

/// What the operator closes: `10.0.0.0/8`, `example.com`, `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Closing {
    /// Hosts that nobody may name.
    Host(HostRule),
    /// Addresses that nobody may dial, whatever name led there.
    Range(Opening),
}

impl FromStr for Closing {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        // A name has neither a bracket, a prefix length nor a port; nor does one end in digits.
        let last_label = text.rsplit('.').next().unwrap_or_default();
        let is_range = text.contains(['[', '/', ':']) || last_label.starts_with(|c: char| c.is_ascii_digit());
        if is_range { text.parse().map(Self::Range) } else { text.parse().map(Self::Host) }
    }
}

impl TryFrom<String> for Closing {
    type Error = BadRange;
    fn try_from(text: String) -> Result<Self, BadRange> {
        text.parse()
    }
}

/// A range of addresses and ports: `127.0.0.0/8`, `127.0.0.1:9101`,
/// `10.1.0.0/16:9000-9999`, `[fd00::]/8:443`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Opening {
    net: IpAddr,
    prefix: u32,
    ports: RangeInclusive<u16>,
}

/// A text that is not a range of addresses, or not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{got}` is not {want}: {why}; write `{example}`",
    example = if *.want == RANGE { "127.0.0.0/8:9000-9999` or `[fd00::]/8:443" } else { "example.com` or `*.example.com" }
)]
pub struct BadRange {
    got: String,
    want: &'static str,
    why: &'static str,
}

const RANGE: &str = "a range of addresses";

impl Opening {
    /// Whether an address (v4-mapped ones as the IPv4 address they are) and a port are in it.
    pub fn covers(&self, address: IpAddr, port: u16) -> bool {
        let same = match (self.net, canonical(address)) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                shares_prefix(u32::from(net).into(), u32::from(ip).into(), self.prefix + 96)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => shares_prefix(net.into(), ip.into(), self.prefix),
            _ => false,
        };
        same && self.ports.contains(&port)
    }
}

impl FromStr for Opening {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let bad = |why| BadRange { got: text.chars().take(100).collect(), want: RANGE, why };
        let (address, rest) = match text.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(|| bad("the bracket is not closed"))?,
            None => {
                // A bare IPv6 address has colons of its own and so takes no port.
                let one_colon = text.matches(':').count() < 2;
                let end = text.find(if one_colon { &['/', ':'][..] } else { &['/'][..] });
                text.split_at(end.unwrap_or(text.len()))
            }
        };
        let net: IpAddr = address.parse().map_err(|_| bad("it does not start with an address"))?;
        let width = if net.is_ipv4() { 32 } else { 128 };
        let (prefix, ports) = match rest.strip_prefix('/') {
            Some(rest) => {
                let end = rest.find(':').unwrap_or(rest.len());
                let (prefix, ports) = rest.split_at(end);
                (number(prefix).ok_or_else(|| bad("the prefix is not a number"))?, ports)
            }
            None => (width, rest),
        };
        if prefix > width {
            return Err(bad("the prefix is longer than the address"));
        }
        let below = match net {
            IpAddr::V4(net) => u128::from(u32::from(net)),
            IpAddr::V6(net) => net.into(),
        };
        if below & !u128::MAX.checked_shl(width - prefix).unwrap_or(0) != 0 {
            return Err(bad("the address has bits below its prefix"));
        }
        if matches!(net, IpAddr::V6(net) if net.to_ipv4_mapped().is_some()) {
            return Err(bad("a v4-mapped address is judged as IPv4: write that"));
        }
        let ports = match ports.strip_prefix(':') {
            None if ports.is_empty() => 0..=u16::MAX,
            None => return Err(bad("something follows the address that is neither prefix nor port")),
            Some(ports) => {
                let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                match (number(first), number(last)) {
                    (Some(first), Some(last)) if first <= last => first..=last,
                    _ => return Err(bad("the ports are not `9000` or `9000-9999`")),
                }
            }
        };
        Ok(Self { net, prefix, ports })
    }
}

/// Digits only: `u16::from_str` also takes a sign.
fn number<N: FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl TryFrom<String> for Opening {
    type Error = BadRange;
    fn try_from(text: String) -> Result<Self, BadRange> {
        text.parse()
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net {
            IpAddr::V4(net) => write!(f, "{net}/{}", self.prefix)?,
            IpAddr::V6(net) => write!(f, "[{net}]/{}", self.prefix)?,
        }
        match (*self.ports.start(), *self.ports.end()) {
            (0, u16::MAX) => Ok(()),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

/// A host that the operator names, on every scheme and port: `example.com`,
/// or `*.example.com` for everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostRule(HostPattern);

impl FromStr for HostRule {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let bad = |why| BadRange { got: text.chars().take(100).collect(), want: "a host", why };
        let (wild, host) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let url = url::Url::parse(&format!("https://{host}/")).map_err(|_| bad("it is not a host name"))?;
        let origin = Origin::of(&url).ok_or_else(|| bad("it is not a host name"))?;
        if host.contains(['/', ':', '@', '?', '#', '*']) && origin.address().is_none() {
            return Err(bad("it has more than a host name"));
        }
        Ok(Self(if wild { HostPattern::Below(origin.host) } else { HostPattern::Exact(origin.host) }))
    }
}

impl TryFrom<String> for HostRule {
    type Error = BadRange;
    fn try_from(text: String) -> Result<Self, BadRange> {
        text.parse()
    }
}

/// Why an address, or a name, is refused by the operator's policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The operator closed this host for everybody.
    #[error("{0} is closed by the operator ([egress] closed)")]
    Host(String),
    /// The operator closed the range.
    #[error("{0} is closed by the operator ([egress] closed)")]
    Closed(IpAddr),
    /// Not a public address, and the operator did not open it.
    #[error("{address} is not a public address ({what})")]
    Inside {
        /// The address, in its canonical form.
        address: IpAddr,
        /// What kind it is.
        what: &'static str,
    },
}

impl Policy {
    /// The operator's part of the first gate.
    pub(crate) fn allows_host(&self, origin: &Origin) -> Result<(), Denied> {
        let closed = self.closed.iter().any(|closing| match closing {
            Closing::Host(HostRule(pattern)) => pattern.allows(&origin.host),
            Closing::Range(_) => false,
        });
        if closed { Err(Denied::Host(origin.host.clone())) } else { Ok(()) }
    }

    fn closes(&self, address: IpAddr, port: u16) -> bool {
        self.closed.iter().any(|closing| match closing {
            Closing::Host(_) => false,
            Closing::Range(range) => range.covers(address, port),
        })
    }
}

/// The second gate: what may be dialled of what a resolver, perhaps the
/// attacker's, made of a name. One bad answer spoils the set, since the next
/// look-up may give that one alone. Dial what comes back, never the name again.
pub fn gate(resolved: &[IpAddr], port: u16, policy: &Policy) -> Result<Vec<IpAddr>, Denied> {
    resolved
        .iter()
        .map(|address| {
            let address = canonical(*address);
            if policy.closes(address, port) {
                return Err(Denied::Closed(address));
            }
            match inside(address) {
                Some(what) if !policy.open.iter().any(|range| range.covers(address, port)) => {
                    Err(Denied::Inside { address, what })
                }
                _ => Ok(address),
            }
        })
        .collect()
}

/// The range of one address and port, as an operator would write it to open it.
pub(crate) fn opening_for(address: IpAddr, port: u16) -> Opening {
    let (net, prefix) = match address {
        IpAddr::V4(net) => (IpAddr::V4(net), Ipv4Addr::BITS),
        IpAddr::V6(net) => (IpAddr::V6(net), Ipv6Addr::BITS),
    };
    Opening { net, prefix, ports: port..=port }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(open: &[&str], closed: &[&str]) -> Policy {
        let open = open.iter().map(|text| text.parse().unwrap()).collect();
        Policy { open, closed: closed.iter().map(|text| text.parse().unwrap()).collect() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_an_address_a_prefix_and_ports() {
        for (text, shown) in [
            ("127.0.0.0/8:9000-9999", "127.0.0.0/8:9000-9999"),
            ("127.0.0.1:9101", "127.0.0.1/32:9101"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::1", "[::1]/128"),
            ("fd00::/8", "[fd00::]/8"),
            ("fd00::/8:443", "[fd00::]/8:443"),
            ("[::1]:9000-9001", "[::1]/128:9000-9001"),
            ("::/0", "[::]/0"),
        ] {
            let range: Opening = text.parse().unwrap();
            assert_eq!(range.to_string(), shown);
            assert_eq!(shown.parse::<Opening>().unwrap(), range);
        }
    }

    #[test]
    fn what_is_not_a_range_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "does not start with an address"),
            ("localhost:1", "does not start with an address"),
            ("127.0.0.1/33", "longer than the address"),
            ("127.0.0.1/8", "bits below its prefix"),
            ("fd00::1/8", "bits below its prefix"),
            ("127.0.0.1/+8", "not a number"),
            ("127.0.0.1:", "the ports are not"),
            ("127.0.0.1:9-1", "the ports are not"),
            ("127.0.0.1:70000", "the ports are not"),
            ("[::1", "not closed"),
            ("[::1]x", "neither prefix nor port"),
            ("::ffff:127.0.0.1", "judged as IPv4"),
        ] {
            let error = text.parse::<Opening>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(error.contains("write `127.0.0.0/8:9000-9999`"), "{error}");
        }
    }

    #[test]
    fn nothing_inside_is_open_by_default() {
        let inside = gate(&[ip("::ffff:127.0.0.1")], 80, &Policy::default());
        assert_eq!(inside, Err(Denied::Inside { address: ip("127.0.0.1"), what: "loopback" }));
        assert_eq!(gate(&[ip("1.1.1.1")], 80, &Policy::default()), Ok(vec![ip("1.1.1.1")]));
    }

    #[test]
    fn one_bad_answer_spoils_the_set() {
        let mixed = [ip("1.1.1.1"), ip("10.0.0.1"), ip("8.8.8.8")];
        assert!(matches!(gate(&mixed, 443, &Policy::default()), Err(Denied::Inside { .. })));
    }

    #[test]
    fn an_opening_opens_its_own_ports_and_addresses_only() {
        let open = policy(&["127.0.0.1:9000-9001"], &[]);
        let check = |address, port, want: bool| {
            assert_eq!(gate(&[ip(address)], port, &open).is_ok(), want, "{address} {port}");
        };
        check("127.0.0.1", 9000, true);
        check("::ffff:127.0.0.1", 9001, true);
        check("127.0.0.1", 8999, false);
        check("127.0.0.1", 9002, false);
        check("127.0.0.2", 9000, false);
        check("::1", 9000, false);
        // A translator elsewhere would dial its own loopback, not the one that is open.
        check("64:ff9b::127.0.0.1", 9000, false);
    }

    #[test]
    fn a_closed_range_beats_an_open_one_and_the_public_internet() {
        let closed = policy(&["127.0.0.0/8"], &["127.0.0.2", "8.8.8.0/24"]);
        assert!(gate(&[ip("127.0.0.1")], 80, &closed).is_ok());
        assert_eq!(gate(&[ip("127.0.0.2")], 80, &closed), Err(Denied::Closed(ip("127.0.0.2"))));
        assert_eq!(gate(&[ip("::ffff:8.8.8.8")], 80, &closed), Err(Denied::Closed(ip("8.8.8.8"))));
    }

    #[test]
    fn a_closed_host_is_closed_in_every_spelling() {
        let policy = policy(&[], &["evil.example", "*.evil.example"]);
        let check =
            |url: &str| policy.allows_host(&Origin::of(&url::Url::parse(url).unwrap()).unwrap()).is_ok();
        assert!(!check("http://EVIL.example./"));
        assert!(!check("https://a.b.evil.example:444/"));
        assert!(check("https://notevil.example/"));
        for bad in ["", "a b", "a/b", "a:1", "*", "u@a"] {
            assert!(bad.parse::<HostRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_closed_is_a_host_or_a_range() {
        for (text, range) in [
            ("example.com", false),
            ("*.example.com", false),
            ("xn--bcher-kva.example", false),
            ("localhost", false),
            ("10.0.0.0/8", true),
            ("169.254.169.254", true),
            ("8.8.8.8:53", true),
            ("fd00::/8", true),
            ("[::1]:80", true),
        ] {
            let closing: Closing = text.parse().unwrap();
            assert_eq!(matches!(closing, Closing::Range(_)), range, "{text}");
        }
        for bad in ["", "a/b", "example.com:80", "https://example.com", "10.0.0", "0x7f.1", "300.0.0.1"] {
            assert!(bad.parse::<Closing>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_policy_is_read_from_config_and_typos_are_errors() {
        let read = |json: &str| serde_json::from_str::<Policy>(json);
        assert_eq!(read(r#"{"open":["127.0.0.1:9101"]}"#).unwrap().open.len(), 1);
        assert!(read(r#"{"opne":[]}"#).is_err());
        assert!(read(r#"{"open":["127.0.0.1/8"]}"#).unwrap_err().to_string().contains("bits below"));
    }
}
