//! `Prefer` (RFC 7240): does the caller want to wait?

use std::time::Duration;

use http::HeaderMap;

/// What the caller prefers. Anything else in the header is ignored, as the RFC says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `respond-async`: answer at once with where to look.
    pub respond_async: bool,
    /// `wait=N`: wait this long for the result, at most [`crate::Limits::longest_wait`].
    pub wait: Option<Duration>,
}

impl Prefer {
    pub(crate) fn of(headers: &HeaderMap, longest: Duration) -> Self {
        let mut prefer = Self::default();
        let mut wait = None;
        for value in headers.get_all("prefer") {
            let Ok(value) = value.to_str() else { continue };
            for preference in outside_quotes(value, ',') {
                // What follows a semicolon are parameters, which neither of ours has.
                let preference = outside_quotes(preference, ';').next().unwrap_or("");
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let (name, value) = (name.trim(), value.trim().trim_matches('"'));
                if name.eq_ignore_ascii_case("respond-async") {
                    prefer.respond_async = true;
                } else if name.eq_ignore_ascii_case("wait") && wait.is_none() {
                    // The first of its kind counts, even if it makes no sense.
                    wait = Some(value.parse().ok().map(Duration::from_secs));
                }
            }
        }
        prefer.wait = wait.flatten().map(|wait| wait.min(longest));
        prefer
    }
}

/// Splits at `separator`, which does not count between quotes.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[test]
fn preferences_are_read_as_rfc_7240_writes_them() {
    let check = |values: &[&str], respond_async, wait: Option<u64>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("prefer", value.parse().unwrap());
        }
        let want = Prefer { respond_async, wait: wait.map(Duration::from_secs) };
        assert_eq!(Prefer::of(&headers, Duration::from_secs(60)), want, "{values:?}");
    };
    check(&[], false, None);
    check(&["respond-async"], true, None);
    check(&["Respond-Async, Wait=10"], true, Some(10));
    check(&["wait=10", "respond-async"], true, Some(10));
    check(&["wait = \"7\" ; foo=bar"], false, Some(7));
    check(&["foo=\"a, wait=3\", wait=5"], false, Some(5));
    check(&["wait=10, wait=20"], false, Some(10));
    check(&["wait=soon, wait=20"], false, None);
    check(&["wait=-1"], false, None);
    check(&["wait=99999999999999999999"], false, None);
    check(&["wait=86400"], false, Some(60));
    check(&["respond-asynchronously, \"respond-async"], false, None);
}
