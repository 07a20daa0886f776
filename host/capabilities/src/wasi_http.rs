//! `wasi:http/outgoing-handler`: the same gate, streaming.

use std::sync::Arc;

use host_egress::{EgressError, Exchange, SendLimits, streamed_body};
use http::HeaderName;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::Call;

type Transmitted = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmitted), Error>> + Send>;

/// What a guest may write to a body at once. Up to two such chunks wait in the
/// host for each body that a guest holds and nobody reads.
const BODY_CHUNK: usize = 64 << 10;

impl WasiHttpHooks for Call {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| DEFAULT_FORBIDDEN_HEADERS.contains(name))
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmitted: Transmitted,
    ) -> Sent {
        let counted = self.meter.outbound_call(); // its bytes were counted when the guest wrote them
        let bounds = self.meter.bounds();
        let first_byte = options.and_then(|options| options.first_byte_timeout).unwrap_or(bounds.wall);
        let limits = SendLimits { timeout: bounds.wall, body_bytes: bounds.body_bytes };
        let connection = self.connection().cloned();
        let egress = Arc::clone(&self.host.egress);
        let exchange = Exchange::begin(request.method(), request.uri());
        if counted.is_ok() && connection.is_some() {
            self.note_stream(&exchange);
        }
        Box::new(async move {
            // No trap can be raised here: the meter remembers, and the call ends with that outcome.
            let (Ok(()), Some(connection)) = (counted, connection) else {
                return Err(Error::HttpRequestDenied);
            };
            let request = request.map(|body| streamed_body(body.map_err(Into::into)));
            let sending = egress.send_as(&exchange, &connection, request, limits);
            let answer = tokio::time::timeout(first_byte, sending).await;
            let response = answer.map_err(|_| Error::ConnectionTimeout)?.map_err(wasi_error)?;
            let response = response.map(|body| body.map_err(|_| Error::ConnectionTerminated).boxed_unsync());
            Ok((response, Box::new(async { Ok(()) }) as Transmitted))
        })
    }
}

fn wasi_error(error: EgressError) -> Error {
    match error {
        EgressError::Denied(_) => Error::HttpRequestDenied,
        EgressError::InvalidRequest(_) => Error::HttpRequestUriInvalid,
        EgressError::Timeout => Error::ConnectionTimeout,
        EgressError::ResponseTooLarge(limit) => Error::HttpResponseBodySize(Some(limit)),
        EgressError::ConnectionFailed(_) | EgressError::Other(_) => Error::ConnectionTerminated,
    }
}
