//! Paths as a grant names them, and how a request's path is held to them.
//!
//! A path is compared as it is sent, byte for byte and segment for segment,
//! and nothing is tidied first: a server may tidy otherwise. What could mean
//! another path to some server (dot segments, in any encoding) fits no prefix.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode;
use serde::{Deserialize, Serialize};

/// How often a path is decoded in search of dot segments. Proxies decode once
/// each, and two in a row are common; a path that says more is no honest one.
const MAX_DECODINGS: usize = 4;
/// The most bytes of a prefix: several times what an API's version and resource take.
const MAX_PREFIX: usize = 256;

/// The beginning of paths that a grant covers, in whole segments: `/v1/leads`
/// covers itself and `/v1/leads/7`, and neither `/v1/leads-old` nor `/V1/leads`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

/// A text that is not a path prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not a path prefix: {why}; write `/v1` or `/v1/leads`, encoded as it is sent")]
pub struct BadPrefix {
    got: String,
    why: &'static str,
}

impl PathPrefix {
    /// Whether a request's path, without its query, is at or below it.
    pub fn covers(&self, path: &str) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        !is_slippery(path) && path.strip_prefix(self.0.as_str()).is_some_and(below) && path.starts_with('/')
    }
}

/// Whether a server could take a path for another one: a segment that is `.` or
/// `..` in some decoding, with `\` for `/` or parameters after a `;`, or a control character.
fn is_slippery(path: &str) -> bool {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODINGS {
        let dots = bytes.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        });
        if dots || bytes.iter().any(u8::is_ascii_control) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        if decoded == bytes {
            return false;
        }
        bytes = decoded;
    }
    true
}

impl FromStr for PathPrefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let bad = |why| BadPrefix { got: text.chars().take(MAX_PREFIX).collect(), why };
        if text.len() > MAX_PREFIX {
            return Err(bad("it is longer than 256 bytes"));
        }
        if !text.starts_with('/') {
            return Err(bad("it does not begin with `/`"));
        }
        // `/v1/` is written by many who mean everything below `/v1`.
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        if trimmed.contains("//") || trimmed.ends_with('/') {
            return Err(bad("it has an empty segment"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#', '\\', '*']) {
            return Err(bad("it has more than a path, a wildcard, or characters that must be encoded"));
        }
        if is_slippery(text) {
            return Err(bad("a segment means another place"));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = BadPrefix;
    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

impl From<PathPrefix> for String {
    fn from(prefix: PathPrefix) -> String {
        prefix.to_string()
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(prefix: &str, path: &str) -> bool {
        prefix.parse::<PathPrefix>().unwrap().covers(path)
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        for path in ["/v1", "/v1/", "/v1/leads", "/v1//x", "/v1/a%2Fb", "/v1/...", "/v1/a;b=c", "/v1/%C3%A9"]
        {
            assert!(covers("/v1", path) && covers("/v1/", path), "{path}");
        }
        for path in
            ["", "/", "*", "/v10", "/V1", "/v", "//v1", "/x/v1", "v1", "/%761", "/v1%2Fleads", "/v1;x/y"]
        {
            assert!(!covers("/v1", path), "{path}");
        }
        assert!(covers("/", "/") && covers("/", "/anything/at/all") && !covers("/", "*") && !covers("/", ""));
    }

    #[test]
    fn no_spelling_of_a_dot_segment_leads_out_of_a_prefix() {
        for escape in [
            "/v1/../admin",
            "/v1/..",
            "/v1/./x",
            "/v1/.",
            "/v1/%2e%2e/admin",
            "/v1/%2E./admin",
            "/v1/.%2e/admin",
            "/v1/..%2fadmin",
            "/v1/%2e%2e%2fadmin",
            "/v1/x%2f..%2f..%2fadmin",
            "/v1/..\\admin",
            "/v1/..%5cadmin",
            "/v1/%252e%252e/admin",
            "/v1/%25252e%25252e/admin",
            "/v1/..;/admin",
            "/v1/..;a=b/admin",
            "/v1/..%3b/admin",
            "/v1/%2525252525252e",
            "/v1/%00/x",
            "/v1/x%0d%0a",
            "/v1//../admin",
        ] {
            assert!(!covers("/v1", escape), "{escape}");
            assert!(!covers("/", escape), "{escape}");
        }
    }

    #[test]
    fn what_is_not_a_prefix_is_refused_with_a_reason() {
        for bad in [
            "",
            "v1",
            "/v1//x",
            "//",
            "/v1/..",
            "/v1/%2e%2e",
            "/v1?x",
            "/v1#x",
            "/v 1",
            "/é",
            "/v1/*",
            "/a\\b",
        ] {
            let error = bad.parse::<PathPrefix>().unwrap_err().to_string();
            assert!(error.contains("is not a path prefix") && error.contains("write `/v1`"), "{error}");
        }
        assert!(format!("/{}", "x".repeat(MAX_PREFIX)).parse::<PathPrefix>().is_err());
    }

    proptest::proptest! {
        /// What a server makes of a covered path, however often it decodes and
        /// tidies, is still below the prefix.
        #[test]
        fn whatever_a_server_does_with_a_covered_path_it_stays_below(
            rest in proptest::collection::vec("(a|/|\\.|%2e|%2E|%2f|%5c|%25|\\\\|;|2e|%)", 0..8),
            decodings in 0_usize..4,
        ) {
            let path = format!("/v1/{}", rest.concat());
            proptest::prop_assume!(covers("/v1", &path));
            let mut seen = path.into_bytes();
            for _ in 0..decodings {
                seen = percent_decode(&seen).collect();
            }
            let seen = String::from_utf8_lossy(&seen).replace('\\', "/");
            let mut stack = Vec::new();
            for segment in seen.split('/').map(|segment| segment.split(';').next().unwrap()) {
                match segment {
                    "" | "." => {}
                    ".." => { stack.pop(); }
                    name => stack.push(name),
                }
            }
            proptest::prop_assert_eq!(stack.first(), Some(&"v1"));
        }
    }
}
