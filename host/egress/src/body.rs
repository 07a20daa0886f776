//! Request bodies: streamed, counted and bounded on their way out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::exchange::Exchange;

/// Any error of a guest's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body: bytes that are there already, or a stream from the guest.
/// Only the former can be sent a second time.
pub struct Body(Kind);

enum Kind {
    Whole(Bytes),
    Streamed(UnsyncBoxBody<Bytes, BoxError>),
}

/// A body of these bytes.
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Body(Kind::Whole(bytes.into()))
}

/// No body.
pub fn empty_body() -> Body {
    full_body(Bytes::new())
}

/// A body that comes piece by piece.
pub fn streamed_body(body: impl HttpBody<Data = Bytes, Error = BoxError> + Send + 'static) -> Body {
    if body.is_end_stream() { empty_body() } else { Body(Kind::Streamed(body.boxed_unsync())) }
}

impl Body {
    /// All of it, if it is there already.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.clone()),
            Kind::Streamed(_) => None,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Streamed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.whole().is_some() { "whole" } else { "streamed" };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

/// What broke a request's body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(
        "the request's body is larger than {0} bytes, the call's bound (bounds: body-bytes) or the connection's (egress: request-bytes)"
    )]
    TooLarge(u64),
    #[error("the request's body broke off: {0}")]
    ByGuest(BoxError),
    #[error("the request's body was not sent in time")]
    Late,
}

/// A body that ends with an error at its limit or its deadline, and says how
/// far it came. It outlives an answer that came early, so it needs its own deadline.
pub(crate) struct Outgoing {
    body: Body,
    left: u64,
    limit: u64,
    deadline: Pin<Box<Sleep>>,
    exchange: Exchange,
}

impl Outgoing {
    pub(crate) fn new(body: Body, limit: u64, deadline: Instant, exchange: Exchange) -> Self {
        Self { body, left: limit, limit, deadline: Box::pin(sleep_until(deadline)), exchange }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Broken::Late)));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(Broken::ByGuest(error)))),
            None => return Poll::Ready(None),
        };
        if let Some(data) = frame.data_ref() {
            let size = data.len() as u64;
            match self.left.checked_sub(size) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(Broken::TooLarge(self.limit)))),
            }
            self.exchange.add_sent(size);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
