//! Which addresses belong to the public internet.
//!
//! Judged by what is known to be public, not by what is known to be inside:
//! for IPv6 that is global unicast (2000::/3) without its special blocks, for
//! IPv4 everything outside the IANA special-purpose registry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that are not public: first address, prefix, what it is.
const INSIDE_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    // Azure's metadata and health endpoint: a public address that only the inside can reach.
    ([168, 63, 129, 16], 32, "cloud metadata"),
    ([169, 254, 0, 0], 16, "link-local or cloud metadata"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "IETF protocol assignments"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "benchmarking"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved or broadcast"),
];

/// Blocks of global unicast IPv6 that are not public. Teredo and 6to4 embed
/// an IPv4 address that a relay near us would reach; both are retired
/// (RFC 7526), so no upstream is lost by refusing them whole.
const INSIDE_V6: &[([u16; 3], u32, &str)] = &[
    ([0x2001, 0, 0], 23, "Teredo or IETF protocol assignments"),
    ([0x2001, 0xdb8, 0], 32, "documentation"),
    ([0x2002, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0], 20, "documentation"),
];

/// Names for what else people meet; everything that no row names is reserved.
const KNOWN_V6: &[([u16; 3], u32, &str)] = &[
    ([0x64, 0xff9b, 1], 48, "local NAT64"),
    ([0x100, 0, 0], 64, "discard"),
    ([0xfc00, 0, 0], 7, "unique local"),
    ([0xfe80, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0], 8, "multicast"),
];

/// The address that the kernel would dial: IPv4 for a v4-mapped one.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether an address belongs to the public internet, disguises seen through.
pub fn is_public(address: IpAddr) -> bool {
    inside(address).is_none()
}

/// What an address is that does not belong to the public internet.
pub(crate) fn inside(address: IpAddr) -> Option<&'static str> {
    match canonical(address) {
        IpAddr::V4(address) => inside_v4(address),
        IpAddr::V6(address) => inside_v6(address),
    }
}

fn inside_v4(address: Ipv4Addr) -> Option<&'static str> {
    let found = INSIDE_V4.iter().find(|(net, prefix, _)| {
        shares_prefix(u32::from(address).into(), u32::from(Ipv4Addr::from(*net)).into(), prefix + 96)
    });
    found.map(|(_, _, what)| *what)
}

fn inside_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = u128::from(address);
    let [.., c, d, e, f] = address.octets();
    let last = Ipv4Addr::new(c, d, e, f);
    // NAT64 (RFC 6052): the translator dials the embedded address, so that one is judged.
    if bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000 {
        return inside_v4(last);
    }
    if address.is_loopback() {
        return Some("loopback");
    }
    if address.is_unspecified() {
        return Some("unspecified");
    }
    if bits >> 32 == 0 {
        return Some("IPv4-compatible");
    }
    let row = |table: &'static [([u16; 3], u32, &'static str)]| {
        let found = table.iter().find(|([a, b, c], prefix, _)| {
            let net = Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0);
            shares_prefix(bits, u128::from(net), *prefix)
        });
        found.map(|(_, _, what)| *what)
    };
    if bits >> 125 != 0b001 {
        return Some(row(KNOWN_V6).unwrap_or("reserved"));
    }
    // ISATAP (RFC 5214) hides an IPv4 address behind an interface id in any prefix.
    let interface = (bits >> 32) as u32 & 0xfdff_ffff;
    row(INSIDE_V6).or_else(|| if interface == 0x0000_5efe { inside_v4(last) } else { None })
}

/// Whether two addresses agree in their first `prefix` of 128 bits.
pub(crate) fn shares_prefix(a: u128, b: u128, prefix: u32) -> bool {
    (a ^ b).checked_shr(128 - prefix.min(128)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: bool) {
        assert_eq!(is_public(text.parse().unwrap()), want, "{text}");
    }

    #[test]
    fn public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::64",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2003::1",
            "3ffe::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
            "2606:4700::5efe:8.8.8.8",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn inside_addresses_are_not_public_in_any_disguise() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            // IPv4-compatible, whatever is inside.
            "::7f00:1",
            "::8.8.8.8",
            // v4-mapped and v4-translated.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "::ffff:0:8.8.8.8",
            // NAT64: well-known prefix with an inside address, and the local prefix.
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::10.1.2.3",
            "64:ff9b:0:0:0:1:808:808",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:a9fe:a9:fe00::",
            // 6to4 and Teredo.
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2002:808:808::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:10::1",
            "2001:20::1",
            "2001:2::1",
            "2001:1ff:ffff::",
            // ISATAP.
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:127.0.0.1",
            "fe80::5efe:10.0.0.1",
            // Documentation, discard, segment routing.
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "100::1",
            "5f00::1",
            // Local, site-local, multicast, metadata.
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            // Not assigned.
            "4000::1",
            "e000::1",
            "1fff::1",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn a_refusal_says_what_the_address_is() {
        let name = |text: &str| inside(text.parse().unwrap());
        assert_eq!(name("::ffff:127.0.0.1"), Some("loopback"));
        assert_eq!(name("64:ff9b::a9fe:a9fe"), Some("link-local or cloud metadata"));
        assert_eq!(name("fd00:ec2::254"), Some("unique local"));
        assert_eq!(name("4000::"), Some("reserved"));
    }
}
