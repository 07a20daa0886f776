//! `wharf:http`: small and buffered, through the egress gate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_egress::{Body, EgressError, ExchangeInfo, SendLimits, Sent, empty_body, full_body, parse_url};
use host_model::outcome::Level;
use http::{HeaderName, HeaderValue, Method};

use crate::Call;
use crate::bindings::connector::wharf::http::outgoing;
use crate::bindings::connector::wharf::types::types::Header;

type Answer = Result<outgoing::Response, outgoing::Error>;

/// The most headers of a request. Egress refuses more, but a header map
/// panics at some 30,000, so it must not come that far.
const MAX_HEADERS: usize = 100;

impl outgoing::Host for Call {
    async fn send(&mut self, request: outgoing::Request) -> wasmtime::Result<Answer> {
        self.meter.host_call(request.method.len() + request.url.len() + size(&request.headers))?;
        self.meter.bytes(request.body.as_ref().map_or(0, Vec::len))?;
        self.meter.body(request.body.as_ref().map_or(0, Vec::len))?;
        self.meter.outbound_call()?;
        let Some(connection) = self.connection().cloned() else {
            return Ok(Err(outgoing::Error::Denied("there is no connection here to send for".to_owned())));
        };
        let limits = SendLimits {
            timeout: request.timeout_ms.map_or(self.meter.bounds().wall, |ms| {
                Duration::from_millis(ms.into()).min(self.meter.bounds().wall)
            }),
            body_bytes: self.meter.bounds().body_bytes,
        };
        let request = match build(request) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error.into())),
        };
        let egress = Arc::clone(&self.host.egress);
        let Sent { answer, exchange } = egress.send_buffered(&connection, request, limits).await;
        self.note(&exchange.info());
        match answer {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let headers: Vec<Header> = head
                    .headers
                    .iter()
                    .map(|(name, value)| Header {
                        name: name.as_str().to_owned(),
                        value: value.as_bytes().to_vec(),
                    })
                    .collect();
                self.meter.bytes(size(&headers) + body.len())?;
                Ok(Ok(outgoing::Response { status: head.status.as_u16(), headers, body: body.to_vec() }))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl Call {
    /// Leaves a line about an exchange in the call's log, whatever came of it.
    pub(crate) fn note(&mut self, exchange: &ExchangeInfo) {
        let line = self.line(Level::Debug, &exchange.to_string());
        self.log.push(line);
    }
}

fn size(headers: &[Header]) -> usize {
    headers.iter().map(|header| header.name.len() + header.value.len()).sum()
}

fn build(request: outgoing::Request) -> Result<http::Request<Body>, EgressError> {
    let wrong = EgressError::InvalidRequest;
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| wrong(format!("`{}` is not a method", request.method.escape_debug())))?;
    let body = request.body.map_or_else(empty_body, |body| full_body(Bytes::from(body)));
    let mut built = http::Request::new(body);
    *built.method_mut() = method;
    *built.uri_mut() = parse_url(&request.url)?;
    if request.headers.len() > MAX_HEADERS {
        return Err(wrong(format!("it has {} headers, the limit is {MAX_HEADERS}", request.headers.len())));
    }
    for header in request.headers {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| wrong(format!("`{}` is not a header name", header.name.escape_debug())))?;
        let value = HeaderValue::from_bytes(&header.value)
            .map_err(|_| wrong(format!("header `{name}` has control characters")))?;
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

impl From<EgressError> for outgoing::Error {
    fn from(error: EgressError) -> Self {
        let text = error.to_string();
        match error {
            EgressError::Denied(_) => Self::Denied(text),
            EgressError::InvalidRequest(_) => Self::InvalidRequest(text),
            EgressError::Timeout => Self::Timeout,
            EgressError::ConnectionFailed(_) => Self::ConnectionFailed(text),
            EgressError::ResponseTooLarge(limit) => Self::ResponseTooLarge(limit),
            EgressError::Other(_) => Self::Other(text),
        }
    }
}
