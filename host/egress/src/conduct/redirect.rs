//! Where a redirect leads, and what of the request goes along (RFC 9110, 15.4).
//!
//! What comes out is a guest's request like any other: it passes both gates
//! again. Across origins only headers that say how to answer go along.

use host_model::grants::{Origin, Scheme};
use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    LOCATION, USER_AGENT,
};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::error::EgressError;
use crate::gate::parse_url;

/// Headers that go to another origin too: none of them says who asks.
const HARMLESS: [HeaderName; 5] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE, USER_AGENT];
/// Headers that go with a body.
const OF_A_BODY: [HeaderName; 4] = [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE];

/// The request that a redirect asks for.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// Whether the body goes along.
    pub(crate) with_body: bool,
    /// Whether it leads to another origin.
    pub(crate) across: bool,
}

/// The request as it was sent: what a redirect is read against.
pub(crate) struct From<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) uri: &'a Uri,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
}

/// What a redirect asks for; `None` if the answer is no redirect to anywhere.
pub(crate) fn next(
    from: From<'_>,
    status: StatusCode,
    answer: &HeaderMap,
) -> Result<Option<Hop>, EgressError> {
    let to_get = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *from.method == Method::POST,
        StatusCode::SEE_OTHER => *from.method != Method::HEAD,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
        _ => return Ok(None),
    };
    let Some(location) = answer.get(LOCATION) else { return Ok(None) };
    let refused =
        |why: &str| EgressError::Denied(format!("the redirect from {} is refused: {why}", from.origin));
    let location = location.to_str().map_err(|_| refused("its location is not a URL"))?;
    let base = url::Url::parse(&from.uri.to_string()).map_err(|_| refused("it has no base"))?;
    let to = base.join(location).map_err(|_| refused("its location is not a URL"))?;
    let uri = parse_url(to.as_str()).map_err(|error| refused(&error.to_string()))?;
    let origin = Origin::of(&to).ok_or_else(|| refused("its location is not `http` or `https`"))?;
    if from.origin.scheme == Scheme::Https && origin.scheme == Scheme::Http {
        return Err(refused("it leads from `https` to `http`"));
    }

    let across = origin != *from.origin;
    let mut headers = from.headers.clone();
    let method = if to_get { Method::GET } else { from.method.clone() };
    // 303 asks for GET also where GET was asked: then nothing changes.
    let with_body = !to_get || *from.method == Method::GET;
    if !with_body {
        OF_A_BODY.iter().for_each(|name| drop(headers.remove(name)));
    }
    if across {
        headers = headers
            .iter()
            .filter(|(name, _)| HARMLESS.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    // The gate sets it anew; the old one names the old host.
    headers.remove(http::header::HOST);
    Ok(Some(Hop { method, uri, headers, with_body, across }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(method: Method, at: &str, status: u16, location: &str) -> Result<Option<Hop>, EgressError> {
        let uri: Uri = at.parse().unwrap();
        let headers = ["authorization", "cookie", "x-api-key", "accept", "content-type", "content-length"];
        let headers: HeaderMap =
            headers.iter().map(|name| (name.parse().unwrap(), "1".parse().unwrap())).collect();
        let origin = Origin::of(&at.parse().unwrap()).unwrap();
        let from = From { origin: &origin, uri: &uri, method: &method, headers: &headers };
        let answer = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
        next(from, StatusCode::from_u16(status).unwrap(), &answer)
    }

    #[test]
    fn methods_and_bodies_follow_the_status() {
        use Method as M;
        for (status, method, want, with_body) in [
            (301, M::POST, M::GET, false),
            (302, M::POST, M::GET, false),
            (303, M::POST, M::GET, false),
            (303, M::PUT, M::GET, false),
            (303, M::HEAD, M::HEAD, true),
            (303, M::GET, M::GET, true),
            (301, M::PUT, M::PUT, true),
            (302, M::GET, M::GET, true),
            (307, M::POST, M::POST, true),
            (308, M::DELETE, M::DELETE, true),
        ] {
            let hop = hop(method.clone(), "https://a.example/x", status, "/y").unwrap().unwrap();
            assert_eq!((&hop.method, hop.with_body), (&want, with_body), "{status} {method}");
            assert_eq!(hop.headers.contains_key("content-type"), with_body, "{status} {method}");
            assert!(hop.headers.contains_key("cookie") && !hop.across);
        }
        for status in [200, 300, 304, 305, 400] {
            assert!(hop(M::GET, "https://a.example/", status, "/y").unwrap().is_none(), "{status}");
        }
    }

    #[test]
    fn a_location_is_read_against_where_the_answer_came_from() {
        for (location, want, across) in [
            ("y?z", "https://a.example/d/y?z", false),
            ("/y#f", "https://a.example/y", false),
            ("?q", "https://a.example/d/x?q", false),
            ("//b.example/y", "https://b.example/y", true),
            ("https://A.example:443/y", "https://a.example/y", false),
            ("https://a.example:444/y", "https://a.example:444/y", true),
        ] {
            let hop = hop(Method::GET, "https://a.example/d/x", 302, location).unwrap().unwrap();
            assert_eq!((hop.uri.to_string().as_str(), hop.across), (want, across), "{location}");
        }
    }

    #[test]
    fn only_harmless_headers_cross_origins() {
        let hop = hop(Method::POST, "https://a.example/x", 307, "https://b.example/").unwrap().unwrap();
        let mut left: Vec<_> = hop.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-type"]);
    }

    #[test]
    fn no_redirect_leaves_tls_or_http() {
        for bad in
            ["http://a.example/", "ftp://a.example/", "javascript:x", "https://u:p@b.example/", "http://[::"]
        {
            let refused = hop(Method::GET, "https://a.example/", 302, bad);
            assert!(matches!(refused, Err(EgressError::Denied(_))), "{bad}: {refused:?}");
        }
        assert!(hop(Method::GET, "http://a.example/", 302, "https://a.example/").unwrap().unwrap().across);
    }
}
