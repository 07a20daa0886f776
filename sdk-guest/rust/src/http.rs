//! Outbound HTTP: one request, one whole answer.
//!
//! The host checks each request against the connection's grants and adds its
//! credential on the way out. Redirects are answers, unless the connection follows them.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::connector::wharf::http::outgoing as wit;
use crate::{Error, Headers};

pub use wit::Error as SendError;

/// As much of an error's body as goes into its text: enough for an API's message.
const EXCERPT: usize = 200;

/// What needs no escape in a path segment (RFC 3986 `unreserved`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `base` with path segments behind it, each escaped. A segment that would
/// change the path's meaning (empty, `.` or `..`) is `invalid-input`.
pub fn join(base: &str, segments: &[&str]) -> Result<String, Error> {
    let mut url = base.trim_end_matches('/').to_owned();
    for segment in segments {
        if matches!(*segment, "" | "." | "..") {
            return Err(Error::InvalidInput(format!("`{segment}` cannot be a part of a URL's path")));
        }
        url.push('/');
        url.extend(utf8_percent_encode(segment, SEGMENT));
    }
    Ok(url)
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Headers,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
}

impl Request {
    /// A request with this method to this absolute URL.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url) = (method.into(), url.into());
        Self { method, url, headers: Headers::default(), body: None, timeout: None }
    }

    /// `GET` this URL.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// `POST` to this URL.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Raw bytes as the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// JSON as the body.
    pub fn json<T: Serialize>(self, value: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Error::Permanent(format!("the request's body is not JSON: {error}")))?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// How long the exchange may take; the host's own limit is the ceiling.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the whole answer, whatever its status.
    pub fn send(self) -> Result<Response, SendError> {
        let answer = wit::send(&wit::Request {
            method: self.method,
            url: self.url,
            headers: self.headers.0,
            body: self.body,
            timeout_ms: self
                .timeout
                .map(|time| u32::try_from(crate::clock::whole_ms(time)).unwrap_or(u32::MAX)),
        })?;
        Ok(Response { status: answer.status, headers: Headers(answer.headers), body: answer.body })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// In order of arrival.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as a type of yours. The outside system broke its word if it
    /// does not fit: repeating the request would not help.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::Permanent(format!("the answer (status {}) is not the JSON expected: {error}", self.status))
        })
    }

    /// The answer itself if its status is 2xx, else the error that tells the
    /// host what to do next.
    pub fn error_for_status(self) -> Result<Self, Error> {
        let text = || format!("the outside system answered {}: {}", self.status, self.excerpt());
        Err(match self.status {
            200..=299 => return Ok(self),
            300..=399 => Error::Permanent(format!(
                "the outside system redirects ({}) to {}: correct the URL in the connection's config",
                self.status,
                self.header("location").unwrap_or("nowhere"),
            )),
            401 | 403 => Error::Unauthorized(text()),
            404 => Error::NotFound(text()),
            409 => Error::Conflict(text()),
            429 => Error::RateLimited(self.retry_after()),
            // The server gave up waiting, or does not want to risk a replay: the same request may pass later.
            408 | 425 => Error::Retry(text()),
            500..=599 => Error::Retry(text()),
            _ => Error::Permanent(text()),
        })
    }

    /// `Retry-After` in seconds; as a date it is left to the host.
    fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
    }

    fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        match text.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None if text.is_empty() => "an empty body".to_owned(),
            None => text.into_owned(),
        }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Denied(text) => Self::Permanent(format!("the host refused the request: {text}")),
            SendError::InvalidRequest(text) => Self::Permanent(format!("the request is wrong: {text}")),
            SendError::Timeout => Self::Retry("the outside system did not answer in time".to_owned()),
            SendError::ConnectionFailed(text) => {
                Self::Retry(format!("the connection to the outside system failed: {text}"))
            }
            SendError::ResponseTooLarge(limit) => {
                Self::Permanent(format!("the answer is larger than the limit of {limit} bytes"))
            }
            SendError::Other(text) => Self::Other(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, header: Option<(&str, &str)>) -> Result<Response, Error> {
        let mut headers = Headers::default();
        if let Some((name, value)) = header {
            headers.push(name, value);
        }
        Response { status, headers, body: b"why".to_vec() }.error_for_status()
    }

    #[test]
    fn a_status_tells_the_host_what_to_do_next() {
        assert!(answer(204, None).is_ok());
        assert!(matches!(answer(401, None), Err(Error::Unauthorized(text)) if text.ends_with("401: why")));
        assert!(matches!(answer(403, None), Err(Error::Unauthorized(_))));
        assert!(matches!(answer(404, None), Err(Error::NotFound(_))));
        assert!(matches!(answer(409, None), Err(Error::Conflict(_))));
        assert!(matches!(answer(503, None), Err(Error::Retry(_))));
        assert!(matches!(answer(418, None), Err(Error::Permanent(_))));
        assert!(
            matches!(answer(302, Some(("location", "/in"))), Err(Error::Permanent(text)) if text.contains("/in"))
        );
    }

    #[test]
    fn retry_after_is_kept_if_it_is_in_seconds() {
        let wait = |value| answer(429, Some(("Retry-After", value))).unwrap_err();
        assert_eq!(wait("7"), Error::RateLimited(Some(Duration::from_secs(7))));
        assert_eq!(wait("Wed, 21 Oct 2026 07:28:00 GMT"), Error::RateLimited(None));
    }

    #[test]
    fn a_segment_stays_one_segment() {
        assert_eq!(join("https://a/b/", &["c d/e?f", "ü"]).unwrap(), "https://a/b/c%20d%2Fe%3Ff/%C3%BC");
        for bad in ["", ".", ".."] {
            assert!(matches!(join("https://a", &[bad]), Err(Error::InvalidInput(_))), "{bad}");
        }
    }

    #[test]
    fn a_long_error_body_is_cut_between_characters() {
        let body = "ä".repeat(EXCERPT + 1).into_bytes();
        let error = Response { status: 400, headers: Headers::default(), body }.error_for_status();
        let Err(Error::Permanent(text)) = error else { panic!("{error:?}") };
        assert!(text.ends_with(&format!("{}…", "ä".repeat(EXCERPT))));
    }
}
