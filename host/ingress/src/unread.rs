//! A request's body that remembers whether it was read to its end.
//!
//! An answer that goes out over an unread body is the last one on its
//! connection: the rest of the body stands where the next request would. The
//! caller is told so, or it would send that next request into a closing socket.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};

/// The body, on its way in.
pub(crate) struct Watched<B> {
    inner: B,
    ended: Arc<AtomicBool>,
}

/// What came of it, for whoever sends the answer.
pub(crate) struct Unread(Arc<AtomicBool>);

impl<B: Body> Watched<B> {
    /// Watches a request's body.
    pub(crate) fn request(request: Request<B>) -> (Request<Self>, Unread) {
        let ended = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let unread = Unread(Arc::clone(&ended));
        (request.map(|inner| Self { inner, ended }), unread)
    }
}

impl Unread {
    /// Says in the answer that it is the last one, if the body is not read yet.
    pub(crate) fn close_after<B>(self, mut answer: Response<B>) -> Response<B> {
        if !self.0.load(Ordering::Relaxed) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if frame.is_none() || self.inner.is_end_stream() {
            self.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
