//! Where a login's code goes: the client's own address, which it named.

use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use url::{Host, Url};

/// Below it lives the web console; no guest answers there, as one may below `/hooks`.
const CONSOLE: &str = "/console";
/// The longest address or state of a client.
const MAX: usize = 1_000;

/// A client's address, and the word by which it knows its own login.
#[derive(Clone, Debug)]
pub(super) struct Back {
    url: Url,
    state: String,
}

impl Back {
    /// Reads an address: `http` on loopback by its number, or this host's console.
    pub(super) fn read(redirect: &str, state: &str, public_url: &str) -> Result<Self, &'static str> {
        if redirect.len() > MAX || state.len() > MAX || state.is_empty() {
            return Err("`redirect` or `state` is missing or too long");
        }
        let url = Url::parse(redirect).map_err(|_| "`redirect` is no URL")?;
        let named = !url.username().is_empty() || url.password().is_some();
        if named || url.query().is_some() || url.fragment().is_some() {
            return Err("`redirect` has a user, a query or a fragment");
        }
        // By number, for a name can be made to lead elsewhere (RFC 8252, 8.3).
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            _ => false,
        };
        let ours = Url::parse(public_url).is_ok_and(|ours| ours.origin() == url.origin());
        let console = url.path() == CONSOLE || url.path().starts_with("/console/");
        if loopback && url.scheme() == "http" && !ours || ours && console {
            Ok(Self { url, state: state.to_owned() })
        } else {
            Err("`redirect` is neither on loopback (`http://127.0.0.1:port/`) nor this host's `/console`")
        }
    }

    /// Back with a code.
    pub(super) fn code(self, code: &str) -> Response {
        self.with(&[("code", code)])
    }

    /// Back with a refusal, in words that the client shows (RFC 6749, 4.1.2.1).
    pub(super) fn refuse(self, error: &str, why: &str) -> Response {
        self.with(&[("error", error), ("error_description", why)])
    }

    fn with(mut self, pairs: &[(&str, &str)]) -> Response {
        self.url.query_pairs_mut().extend_pairs(pairs).append_pair("state", &self.state);
        to(self.url.as_str())
    }
}

/// Sends a browser on, keeping and telling nothing.
pub(super) fn to(url: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(url) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response(); // a URL that was parsed is ASCII
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_goes_to_loopback_or_to_the_console_and_nowhere_else() {
        let read = |url: &str| Back::read(url, "s", "https://wharf.example");
        for good in [
            "http://127.0.0.1:40123/",
            "http://[::1]:40123/back",
            "https://wharf.example/console",
            "https://wharf.example/console/login",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "http://localhost:40123/",
            "https://127.0.0.1:40123/",
            "http://10.0.0.1/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://u@127.0.0.1/",
            "http://127.0.0.1/?x=1",
            "http://127.0.0.1/#x",
            "https://wharf.example/hooks/evil/page",
            "https://wharf.example/console/../hooks/evil/page",
            "https://wharf.example/consoles",
            "https://wharf.example:444/console",
            "http://wharf.example/console",
            "https://evil.example/console",
            "javascript:alert(1)",
            "wharf://back",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Back::read("http://127.0.0.1:1/", "", "https://wharf.example").is_err(), "no state");
    }

    #[test]
    fn a_host_on_loopback_is_itself_and_no_client() {
        let read = |url: &str| Back::read(url, "s", "http://127.0.0.1:7070");
        assert!(read("http://127.0.0.1:7070/hooks/evil/page").is_err());
        assert!(read("http://127.0.0.1:7070/console").is_ok());
        assert!(read("http://127.0.0.1:7071/").is_ok());
    }
}
