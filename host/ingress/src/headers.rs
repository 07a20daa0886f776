//! Which headers pass: from a caller to a guest, and from a guest to a caller.
//!
//! Both are lists of what does not pass. Signature headers and the hand-shakes
//! of webhook senders have a thousand names; what is dangerous has few.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Meant for the next hop only (RFC 9110, 7.6.1), or answered by us already.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The caller's own credentials, meant for the host or for nobody here. A
/// shared secret or a signature in a header of its own (`x-gitlab-token`) is
/// the sender's way to show who it is, and passes.
fn is_callers_credential(name: &str) -> bool {
    matches!(name, "authorization" | "cookie") || name.starts_with("proxy-")
}

/// What would speak for the operator's whole origin, on which the console
/// lives too, or what only the host can know.
fn is_hosts_to_say(name: &str) -> bool {
    matches!(
        name,
        "alt-svc"                       // sends the whole origin elsewhere
            | "clear-site-data"         // signs the console's user out
            | "content-security-policy" // ours is stricter
            | "date"
            | "nel"                     // reports on the whole origin
            | "permissions-policy"
            | "public-key-pins"
            | "refresh"
            | "report-to"
            | "reporting-endpoints"
            | "server"
            | "service-worker-allowed"  // code in front of the whole origin
            | "set-cookie"              // rides along to the console
            | "strict-transport-security"
            | "www-authenticate"        // a password prompt in the operator's name
            | "x-content-type-options"
    ) || name.starts_with("proxy-")
}

/// A request's headers as a guest may see them.
pub(crate) fn for_guest(mut headers: HeaderMap) -> HeaderMap {
    without(&mut headers, is_callers_credential);
    headers
}

/// Makes a guest's headers fit to be sent from the operator's origin.
pub(crate) fn from_guest(headers: &mut HeaderMap) {
    without(headers, is_hosts_to_say);
    // A page of a guest is a stranger in a box: no scripts, no forms, an origin of its own.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Removes what is for one hop only, and what is unfit. In most maps that is nothing.
fn without(headers: &mut HeaderMap, is_unfit: fn(&str) -> bool) {
    let named = named_by_connection(headers);
    let drop =
        |name: &HeaderName| is_hop_by_hop(name.as_str()) || is_unfit(name.as_str()) || named.contains(name);
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| drop(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// `Connection` names further headers that are for the next hop only.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    names.filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_guest_sees_signatures_and_no_credential_of_the_caller() {
        let mut headers = map(&[
            ("authorization", "Bearer operator"),
            ("cookie", "session=1"),
            ("proxy-authorization", "Basic eA=="),
            ("connection", "keep-alive, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("host", "example.com"),
            ("content-type", "application/json"),
            ("stripe-signature", "t=1,v1=abc"),
            ("x-hub-signature-256", "sha256=00"),
        ]);
        headers.append("x-many", "1".parse().unwrap());
        headers.append("x-many", "2".parse().unwrap());
        let kept = for_guest(headers);
        assert_eq!(
            names(&kept),
            ["content-type", "host", "stripe-signature", "x-hub-signature-256", "x-many"]
        );
        assert_eq!(kept.get_all("x-many").iter().count(), 2);
    }

    #[test]
    fn a_guests_answer_cannot_speak_for_the_origin() {
        let mut headers = map(&[
            ("set-cookie", "session=stolen"),
            ("content-security-policy", "default-src *"),
            ("x-content-type-options", "none"),
            ("service-worker-allowed", "/"),
            ("strict-transport-security", "max-age=0"),
            ("www-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-type", "text/html"),
            ("location", "https://example.com/thanks"),
            ("x-hook-secret", "echoed"),
        ]);
        from_guest(&mut headers);
        assert_eq!(
            names(&headers),
            [
                "content-security-policy",
                "content-type",
                "location",
                "x-content-type-options",
                "x-hook-secret"
            ]
        );
        assert_eq!(headers["content-security-policy"], "sandbox");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}
