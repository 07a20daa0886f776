//! The first gate: may this guest send this request to this name?
//!
//! Takes what a guest made; gives back a [`Cleared`] request that only the
//! host changes from here on. Nothing is looked up and no secret is read yet.

use host_model::grants::{Asking, NotGranted, Origin};
use host_model::resource::Connection;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use http_body::Body as _;

use crate::body::Body;
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::policy::Policy;

/// The most headers of one request: what servers commonly take.
const MAX_HEADERS: usize = 100;
/// The most bytes of a request's header names and values together: twice
/// what servers commonly take.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// The most bytes of a URL: what servers and proxies commonly take.
const MAX_URL: usize = 8 << 10;
/// The most bytes of a method; the longest registered one has 17.
const MAX_METHOD: usize = 32;

/// What the host says when a guest says nothing; some systems refuse clients without a name.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("wharf/", env!("CARGO_PKG_VERSION")));

/// Headers of the connection, not of the request (RFC 9110, 7.6.1), and those
/// that would speak to a proxy. Whoever sets them can hide a second request in one.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Headers by which frameworks let a client ask for another method than it sends.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
/// Headers by which servers let a proxy ask for another path than it sends.
const PATH_OVERRIDES: [HeaderName; 2] =
    [HeaderName::from_static("x-original-url"), HeaderName::from_static("x-rewrite-url")];

/// Whether a header is about the connection and not about the request or the answer.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || name.as_str().starts_with("proxy-")
}

/// Whether only the host sets a header: it frames the request or says where it goes.
pub(crate) fn belongs_to_host(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || *name == HOST || *name == CONTENT_LENGTH
}

/// A request that passed the first gate.
pub(crate) struct Cleared {
    pub(crate) request: Request<Body>,
    pub(crate) origin: Origin,
}

/// Reads a URL as `wharf:http` takes it: absolute, `http` or `https`, without
/// user information. Names outside ASCII become their ASCII form; the fragment goes.
pub fn parse_url(text: &str) -> Result<Uri, EgressError> {
    let invalid = |why: String| EgressError::InvalidRequest(format!("the URL {why}"));
    if text.len() > MAX_URL {
        return Err(invalid(format!("has {} bytes, the limit is {MAX_URL}", text.len())));
    }
    let url = url::Url::parse(text).map_err(|error| invalid(format!("is not one: {error}")))?;
    let origin = Origin::of(&url).ok_or_else(|| {
        invalid("is not absolute `http` or `https`, or has user information before the host".to_owned())
    })?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let path =
        PathAndQuery::try_from(path).map_err(|_| invalid("has a path that HTTP cannot carry".to_owned()))?;
    uri(&origin, path)
}

/// The first gate. The order is from the cheap to the telling: a request that
/// is no request gets no word about grants.
pub(crate) fn clear(
    connection: &Connection,
    policy: &Policy,
    request: Request<Body>,
    exchange: &Exchange,
) -> Result<Cleared, EgressError> {
    let (mut parts, body) = request.into_parts();
    check_method(&parts.method)?;
    let origin = origin_of(&parts.uri)?;
    exchange.goes_to(&origin);
    check_headers(&parts.headers, &parts.uri, body.size_hint().exact())?;

    let denied = |why: String| Err(EgressError::Denied(format!("{origin} is refused: {why}")));
    let (package, name) = (&connection.package.package, &connection.name);
    let methods = meant_methods(&parts);
    let elsewhere = PATH_OVERRIDES.iter().any(|name| parts.headers.contains_key(name));
    let asking = Asking { origin: &origin, path: parts.uri.path(), methods: &methods, elsewhere };
    match connection.grants.allows(asking) {
        Ok(()) => {}
        Err(why @ NotGranted::NotAsked(_)) => {
            return denied(format!("{why}; its author adds it there (package `{package}`)"));
        }
        Err(why @ NotGranted::NotConsented(_)) => {
            return denied(format!("{why}; add `{origin}` there (connection `{name}`)"));
        }
    }
    if let Err(why) = policy.allows_host(&origin) {
        return denied(why.to_string());
    }

    // Where the request goes is written anew from what was judged, so that no
    // other parser's reading of the guest's text decides.
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = uri(&origin, path)?;
    parts.headers.remove(HOST);
    parts.headers.entry(USER_AGENT).or_insert(AGENT);
    parts.version = Version::HTTP_11;
    // An extension could steer the client below; a guest has no say in that.
    parts.extensions = http::Extensions::new();
    Ok(Cleared { request: Request::from_parts(parts, body), origin })
}

fn check_method(method: &Method) -> Result<(), EgressError> {
    let invalid = |why: &str| Err(EgressError::InvalidRequest(format!("the method {why}")));
    if method.as_str().len() > MAX_METHOD {
        return invalid(&format!("has more than {MAX_METHOD} bytes"));
    }
    match *method {
        Method::CONNECT => invalid("CONNECT is refused: it opens a tunnel that no gate sees"),
        Method::TRACE => invalid("TRACE is refused: it echoes what the host added"),
        _ => Ok(()),
    }
}

/// The method, and every other that the request asks its server to take it
/// for: a grant of `POST` is none of `DELETE` in a header.
fn meant_methods(parts: &http::request::Parts) -> Vec<Method> {
    // What is no method is taken for one that nobody can send.
    let read =
        |text: &[u8]| Method::from_bytes(&text.trim_ascii().to_ascii_uppercase()).unwrap_or(Method::CONNECT);
    let headers = METHOD_OVERRIDES.into_iter().flat_map(|name| parts.headers.get_all(name));
    let mut methods = vec![parts.method.clone()];
    methods.extend(headers.map(|value| read(value.as_bytes())));
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    methods.extend(query.filter(|(name, _)| name == "_method").map(|(_, value)| read(value.as_bytes())));
    methods
}

fn origin_of(uri: &Uri) -> Result<Origin, EgressError> {
    let invalid = |why: &str| EgressError::InvalidRequest(format!("the URL {why}"));
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(invalid("is not absolute: write `https://host/path`"));
    };
    if path + authority.as_str().len() > MAX_URL {
        return Err(invalid(&format!("has more than {MAX_URL} bytes")));
    }
    // Only scheme and authority are read again: nothing in the path can move the host.
    let url = url::Url::parse(&format!("{scheme}://{authority}/"))
        .map_err(|error| invalid(&format!("has a bad host: {error}")))?;
    Origin::of(&url)
        .ok_or_else(|| invalid("is neither `http` nor `https`, or has user information before the host"))
}

fn check_headers(headers: &HeaderMap, uri: &Uri, size: Option<u64>) -> Result<(), EgressError> {
    let invalid = |why: String| Err(EgressError::InvalidRequest(why));
    if headers.len() > MAX_HEADERS {
        return invalid(format!("the request has {} headers, the limit is {MAX_HEADERS}", headers.len()));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEADER_BYTES {
        return invalid(format!("the request has {bytes} bytes of headers, the limit is {MAX_HEADER_BYTES}"));
    }
    for (name, value) in headers {
        if is_hop_by_hop(name) {
            return invalid(format!("the header `{name}` belongs to the host: leave it out"));
        }
        // Libraries set these two on their own, so the truth is let through.
        if *name == HOST
            && uri.authority().map(Authority::as_str).map(str::as_bytes) != Some(value.as_bytes())
        {
            return invalid("the header `host` is not the URL's: leave it out".to_owned());
        }
        if *name == CONTENT_LENGTH && !says_length(headers, value, size) {
            return invalid("the header `content-length` is not the body's length: leave it out".to_owned());
        }
    }
    Ok(())
}

/// Whether a content length is one plain number, and the body's if that is known.
/// Of a stream, the client sends no more than it says and breaks off at less.
fn says_length(headers: &HeaderMap, value: &HeaderValue, size: Option<u64>) -> bool {
    let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
    let said = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let once = headers.get_all(CONTENT_LENGTH).iter().count() == 1;
    once && digits && said.is_some_and(|said| size.is_none_or(|size| size == said))
}

fn uri(origin: &Origin, path: PathAndQuery) -> Result<Uri, EgressError> {
    let origin = origin.to_string();
    let authority =
        origin.split_once("://").map(|(scheme, authority)| (scheme.to_owned(), authority.to_owned()));
    let (scheme, authority) = authority.unwrap_or_default();
    Uri::builder()
        .scheme(scheme.as_str())
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| EgressError::InvalidRequest("the URL has a host that HTTP cannot carry".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_in_one_way_only() {
        let check = |text: &str, want: &str| assert_eq!(parse_url(text).unwrap().to_string(), want);
        check("https://API.example.com:443/a?b=c#d", "https://api.example.com/a?b=c");
        check("http://0x7f.1:80", "http://127.0.0.1/");
        check("http://[::FFFF:127.0.0.1]:81/", "http://[::ffff:127.0.0.1]:81/");
        check("https://bücher.example/", "https://xn--bcher-kva.example/");
        check("http:\\\\a.example\\b", "http://a.example/b");
        for bad in ["", "/a", "a.example", "ftp://a/", "http://u@a/", "http://u:p@a/", "http://", "data:,x"] {
            assert!(matches!(parse_url(bad), Err(EgressError::InvalidRequest(_))), "{bad}");
        }
        assert!(parse_url(&format!("http://a/{}", "x".repeat(MAX_URL))).is_err());
    }

    #[test]
    fn a_path_cannot_move_the_host() {
        for (uri, host) in [
            ("http://a.example/@b.example/", "a.example"),
            ("http://a.example/\\@b.example", "a.example"),
            ("http://a.example?@b.example", "a.example"),
            ("http://a.example.:80//b.example", "a.example"),
        ] {
            assert_eq!(origin_of(&uri.parse().unwrap()).unwrap().host, host, "{uri}");
        }
        for bad in ["http://u@a.example/", "/path", "a.example:80", "ws://a.example/"] {
            assert!(origin_of(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_judged_is_what_is_dialled(text in "https?:[/\\\\]{2}[a-c0-9.:@%#?/\\\\\\[\\]]{1,16}") {
            if let Ok(uri) = parse_url(&text) {
                let judged = Origin::of(&url::Url::parse(&text).unwrap()).unwrap();
                proptest::prop_assert_eq!(&origin_of(&uri).unwrap(), &judged);
                let host = uri.host().unwrap().trim_matches(['[', ']']);
                proptest::prop_assert_eq!(host, judged.host);
            }
        }
    }
}
