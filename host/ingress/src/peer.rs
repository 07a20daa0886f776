//! Who sent a request: the socket's other end, or whom a trusted proxy says.

use std::net::{IpAddr, SocketAddr};

use host_model::resource::verify::IpRange;
use http::HeaderMap;

/// Goes from the socket towards the sender for as long as a trusted proxy
/// speaks, each of which adds whom it heard to `X-Forwarded-For`. What comes
/// before that anybody may have written. `None` if a proxy's word is no address.
pub(crate) fn sender(socket: IpAddr, headers: &HeaderMap, proxies: &[IpRange]) -> Option<IpAddr> {
    let trusted = |address: IpAddr| proxies.iter().any(|range| range.contains(address));
    let mut sender = socket.to_canonical();
    if !trusted(sender) {
        return Some(sender);
    }
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        for heard in value.to_str().ok()?.rsplit(',') {
            sender = address(heard.trim())?;
            if !trusted(sender) {
                return Some(sender);
            }
        }
    }
    Some(sender)
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip())).ok();
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(socket: &str, forwarded: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let proxies = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        sender(socket.parse().unwrap(), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_a_trusted_proxy_says_who_sent_a_request() {
        let check = |socket, forwarded: &[&str], want| {
            assert_eq!(of(socket, forwarded).as_deref(), want, "{socket} {forwarded:?}");
        };
        check("203.0.113.9", &[], Some("203.0.113.9"));
        check("203.0.113.9", &["192.30.252.1"], Some("203.0.113.9"));
        check("10.0.0.1", &[], Some("10.0.0.1"));
        check("::ffff:10.0.0.1", &["192.30.252.1"], Some("192.30.252.1"));
        check("::1", &["[2001:db8::7]:443"], Some("2001:db8::7"));
        // What the sender wrote itself stands before what the proxy added.
        check("10.0.0.1", &["192.30.252.1, 203.0.113.9"], Some("203.0.113.9"));
        check("10.0.0.1", &["192.30.252.1", "203.0.113.9:1234"], Some("203.0.113.9"));
        check("10.0.0.1", &["192.30.252.1, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9"));
        check("10.0.0.1", &["192.30.252.1, unknown"], None);
        check("10.0.0.1", &[""], None);
    }
}
