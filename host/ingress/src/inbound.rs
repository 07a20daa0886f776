//! A request, checked for form and bounded, before anybody knows whose it is.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Uri, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::address::{Address, is_decodable};
use crate::alarm::Alarm;
use crate::front::Caller;
use crate::{Certificates, Limits, Prefer, Refusal, headers};

/// The most bytes of an `Idempotency-Key`: it becomes part of a storage key.
const MAX_KEY: usize = 255;
/// The most bytes that are set aside for a body on its word alone.
const MAX_TRUST: usize = 64 << 10;

/// A request for a hook, a run or an event. Only this crate makes one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inbound {
    /// The method.
    pub method: Method,
    /// Path and query, raw.
    pub uri: Uri,
    /// Every header as it arrived, for whoever checks signatures, until
    /// [`Inbound::take_guest_headers`] takes them for a guest.
    pub headers: HeaderMap,
    /// The body, not read yet.
    pub body: Body,
    /// Whether the caller wants to wait.
    pub prefer: Prefer,
    /// The caller's `Idempotency-Key`, 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// Who sent it, as far as the host and the proxies that it trusts can tell.
    pub peer: Option<IpAddr>,
    /// The client certificate that its connection was opened with, if the
    /// listener is one of TLS and the caller has one. Not checked yet.
    pub certificates: Option<Certificates>,
    /// The caller's token, for `/run`. Hooks need none and get none.
    pub token: Option<Bearer>,
    body_bytes: usize,
    body_time: Duration,
    alarm: Alarm,
}

/// A token as a caller presents it. Prints as `***`; readable by its long name only.
pub struct Bearer(Box<str>);

impl Bearer {
    /// For whoever compares its hash.
    pub fn reveal_to_check(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Inbound {
    /// Checks everything that can be told without reading the body.
    pub(crate) fn new(
        request: Request<Body>,
        caller: Caller,
        limits: &Limits,
        alarm: Alarm,
    ) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let uri_bytes = head.uri.path().len() + head.uri.query().map_or(0, |query| query.len() + 1);
        if uri_bytes > limits.uri_bytes {
            return Err(Refusal::UriTooLong { limit: limits.uri_bytes });
        }
        check_size(&head.headers, limits)?;
        if !is_decodable(head.uri.path()) {
            return Err(Refusal::BadRequest(
                "the path has a `%` that is not followed by two hex digits of UTF-8".into(),
            ));
        }
        let token = match Address::of(head.uri.path()) {
            Some(Address::Run { .. }) => bearer(&head.headers),
            Some(Address::Hook { .. } | Address::Event { .. }) => None,
            None => return Err(Refusal::NoRoute),
        };
        Ok(Self {
            peer: caller.address,
            certificates: caller.certificates,
            prefer: Prefer::of(&head.headers, limits.longest_wait),
            idempotency_key: idempotency_key(&head.headers)?,
            token,
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            body_bytes: limits.body_bytes,
            body_time: limits.body_time,
            alarm,
        })
    }

    /// Where it knocks.
    pub fn address(&self) -> Result<Address<'_>, Refusal> {
        Address::of(self.uri.path()).ok_or(Refusal::NoRoute)
    }

    /// Reads the body whole, within [`Limits::body_bytes`] and
    /// [`Limits::body_time`]. The bytes are those that arrived; a body of one
    /// piece is not copied. A second time there is nothing left.
    pub async fn buffer(&mut self) -> Result<Bytes, Refusal> {
        let body = std::mem::take(&mut self.body);
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        // What a body says of itself is enough to refuse it, never to trust it.
        if body.size_hint().lower() > self.body_bytes as u64 {
            return Err(Refusal::BodyTooLarge { limit: self.body_bytes });
        }
        let read = self.alarm.within(self.body_time, read(body, self.body_bytes)).await;
        read.unwrap_or(Err(Refusal::BodyTooSlow { limit: self.body_time }))
    }

    /// As [`Inbound::buffer`], and leaves the body there to be read again.
    pub async fn hold(&mut self) -> Result<Bytes, Refusal> {
        let body = self.buffer().await?;
        self.body = Body::from(body.clone());
        Ok(body)
    }

    /// Takes the headers, without the caller's credentials and without those
    /// of the connection. A second time there are none left.
    pub fn take_guest_headers(&mut self) -> HeaderMap {
        headers::for_guest(std::mem::take(&mut self.headers))
    }

    /// The request as an HTTP guest may see it, its body still streaming.
    pub fn into_guest_request(mut self) -> Request<Body> {
        let headers = self.take_guest_headers();
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = headers;
        request
    }
}

async fn read(mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let promised = body.size_hint().lower().min(MAX_TRUST as u64) as usize;
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BadRequest("the body broke off, or is malformed".into()))?;
        let Ok(piece) = frame.into_data() else { continue }; // trailers
        length += piece.len();
        if length > limit {
            return Err(Refusal::BodyTooLarge { limit });
        }
        if first.is_empty() {
            first = piece;
            continue;
        }
        if all.is_empty() {
            all.reserve(promised.max(length));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&piece);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > limits.header_count || bytes > limits.header_bytes {
        return Err(Refusal::HeadersTooLarge { lines: limits.header_count, bytes: limits.header_bytes });
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(key) = values.next() else { return Ok(None) };
    let is_key =
        |bytes: &[u8]| (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(text) if is_key(key.as_bytes()) && values.next().is_none() => Ok(Some(text.to_owned())),
        _ => Err(Refusal::BadRequest(format!(
            "send at most one Idempotency-Key, of 1 to {MAX_KEY} visible ASCII characters"
        ))),
    }
}

/// `Authorization: Bearer …` (RFC 6750). Two of them are none: which one counts?
fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_token = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && values.next().is_none();
    is_token.then(|| Bearer(token.into()))
}
