//! The answer on its way in: bounded, timed, scrubbed, counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::conduct::bucket::seconds;
use crate::error::EgressError;
use crate::exchange::{Exchange, Refusal};
use crate::gate::is_hop_by_hop;
use crate::scrub::{Matcher, Scrubbing, scrub_headers};

/// What an answer is held to.
pub(crate) struct Terms {
    pub(crate) deadline: Instant,
    /// The longest between two pieces of the body.
    pub(crate) idle: Option<Duration>,
    pub(crate) body_bytes: u64,
    /// `None`: no credential went out, so none can come back.
    pub(crate) matcher: Option<Arc<Matcher>>,
    pub(crate) exchange: Exchange,
    pub(crate) place: OwnedSemaphorePermit,
}

/// An answer's body, as a guest may see it. Ends with an error at the bound or
/// at the deadline; the socket is closed at once then.
pub struct AnswerBody {
    /// `None` when it is over.
    incoming: Option<Coming>,
    trailers: Option<HeaderMap>,
    left: u64,
    limit: u64,
    deadline: Pin<Box<Sleep>>,
    /// The deadline moves with each piece, up to the last one.
    idle: Option<(Duration, Instant)>,
    scrubbing: Option<(Arc<Matcher>, Scrubbing)>,
    exchange: Exchange,
    /// Held, not read: the exchange counts as under way until its body is dropped.
    _place: Option<OwnedSemaphorePermit>,
}

/// Where an answer's body comes from.
enum Coming {
    Wire(Incoming),
    Whole(Bytes),
}

impl Coming {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self {
            Self::Wire(incoming) => Pin::new(incoming).poll_frame(context),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Wire(incoming) => incoming.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Wire(incoming) => incoming.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// The header by which the host says that it answered itself. An outside
/// system that sends it is not heard.
pub(crate) const REFUSED: HeaderName = HeaderName::from_static("wharf-refused");

/// The host's own answer, in a shape that every client understands: too many
/// requests, or not available, and when to come back.
pub(crate) fn refuse(why: Refusal, wait: Duration, exchange: &Exchange) -> Response<AnswerBody> {
    let (status, what) = match why {
        Refusal::Rate => (StatusCode::TOO_MANY_REQUESTS, "the rate of this connection is used up"),
        Refusal::Breaker => (StatusCode::SERVICE_UNAVAILABLE, "the outside system failed too often in a row"),
    };
    exchange.refused(why);
    exchange.answered(status);
    let after = seconds(wait);
    let text = format!("not sent: {what}; come back in {after} s\n");
    let mut answer = whole(Response::new(Bytes::from(text)), exchange);
    *answer.status_mut() = status;
    answer.headers_mut().insert(REFUSED, HeaderValue::from_static(why.as_str()));
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
    answer
}

/// An answer that is there already.
pub(crate) fn whole(answer: Response<Bytes>, exchange: &Exchange) -> Response<AnswerBody> {
    answer.map(|bytes| AnswerBody {
        left: bytes.len() as u64,
        limit: bytes.len() as u64,
        incoming: Some(Coming::Whole(bytes)),
        trailers: None,
        deadline: Box::pin(sleep_until(far_future())),
        idle: None,
        scrubbing: None,
        exchange: exchange.clone(),
        _place: None,
    })
}

/// Longer than any call; an addition that overflows means no timeout in fact.
pub(crate) fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(30 * 24 * 3600)
}

/// Takes in an answer: what a guest may see of its head, and its body to come.
pub(crate) fn take_in(
    response: Response<Incoming>,
    terms: Terms,
) -> Result<Response<AnswerBody>, EgressError> {
    let (head, incoming) = response.into_parts();
    terms.exchange.answered(head.status);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(EgressError::ConnectionFailed(
            "the answer switches protocols, which nobody asked for".into(),
        ));
    }
    if incoming.size_hint().lower() > terms.body_bytes {
        return Err(EgressError::ResponseTooLarge(terms.body_bytes));
    }
    let mut headers = head.headers;
    if let Some(matcher) = &terms.matcher
        && !incoming.is_end_stream()
    {
        refuse_encoded(&headers)?;
        scrub_headers(matcher, &mut headers);
        // Stars may be shorter or longer than what they stand for.
        headers.remove(CONTENT_LENGTH);
    } else if let Some(matcher) = &terms.matcher {
        scrub_headers(matcher, &mut headers);
    }
    strip_hop_by_hop(&mut headers);
    headers.remove(REFUSED);

    let mut body = AnswerBody {
        incoming: Some(Coming::Wire(incoming)),
        trailers: None,
        left: terms.body_bytes,
        limit: terms.body_bytes,
        deadline: Box::pin(sleep_until(terms.deadline)),
        idle: terms.idle.map(|idle| (idle, terms.deadline)),
        scrubbing: terms.matcher.map(|matcher| (Arc::clone(&matcher), Scrubbing::new(matcher))),
        exchange: terms.exchange,
        _place: Some(terms.place),
    };
    body.piece_came();
    // Made anew: the client's extensions are not the guest's.
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    *answer.version_mut() = head.version;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Identity was asked for. An upstream that compresses all the same could
/// carry an echo that no scrubber sees.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), EgressError> {
    let plain = |name: HeaderName, want: &str| {
        headers.get_all(name).iter().all(|value| value.as_bytes().eq_ignore_ascii_case(want.as_bytes()))
    };
    if plain(CONTENT_ENCODING, "identity") && plain(TRANSFER_ENCODING, "chunked") {
        return Ok(());
    }
    Err(EgressError::Other(
        "the answer is compressed although `accept-encoding: identity` was sent, so it cannot be searched for the connection's credential".into(),
    ))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = headers.keys().filter(|name| is_hop_by_hop(name)).cloned();
    for name in always.chain(named).collect::<Vec<_>>() {
        headers.remove(name);
    }
}

impl AnswerBody {
    /// The next one may take as long again.
    fn piece_came(&mut self) {
        if let Some((idle, last)) = self.idle {
            let next = Instant::now().checked_add(idle).map_or(last, |next| next.min(last));
            self.deadline.as_mut().reset(next);
        }
    }

    fn over(&mut self) {
        self.incoming = None;
        self.exchange.ended();
    }

    fn fail(&mut self, error: EgressError) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        self.over();
        self.trailers = None;
        Poll::Ready(Some(Err(error)))
    }

    /// The last bytes that the scrubber held back, then trailers, then nothing.
    fn flush(&mut self) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let rest = self.scrubbing.take().map(|(_, mut scrubbing)| scrubbing.finish());
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        loop {
            let Some(incoming) = &mut self.incoming else { return self.flush() };
            let polled = incoming.poll_frame(context);
            // Asked each time: a body that always has more must end too.
            if self.deadline.as_mut().poll(context).is_ready() {
                return self.fail(EgressError::Timeout);
            }
            let frame = match ready!(polled) {
                Some(Ok(frame)) => {
                    self.piece_came();
                    frame
                }
                Some(Err(error)) => {
                    return self
                        .fail(EgressError::ConnectionFailed(format!("the answer broke off: {error}")));
                }
                None => {
                    self.over();
                    continue;
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let size = data.len() as u64;
                    self.exchange.add_received(size);
                    match self.left.checked_sub(size) {
                        Some(left) => self.left = left,
                        None => {
                            let limit = self.limit;
                            return self.fail(EgressError::ResponseTooLarge(limit));
                        }
                    }
                    let data = match &mut self.scrubbing {
                        Some((_, scrubbing)) => scrubbing.push(data),
                        None => data,
                    };
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    if let Some((matcher, _)) = &self.scrubbing {
                        scrub_headers(matcher, &mut trailers);
                    }
                    strip_hop_by_hop(&mut trailers);
                    self.trailers = Some(trailers);
                    self.over();
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let held = self.scrubbing.is_some() || self.trailers.is_some();
        match &self.incoming {
            Some(incoming) => incoming.is_end_stream(),
            None => !held,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.incoming, &self.scrubbing) {
            (Some(incoming), None) => incoming.size_hint(),
            (None, None) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.exchange.ended();
    }
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerBody").field("left", &self.left).finish_non_exhaustive()
    }
}
