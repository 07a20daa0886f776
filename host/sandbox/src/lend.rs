//! `receive` with its argument borrowed: a request goes into the guest's memory
//! as it stands in the host's, where the generated types would have it copied
//! into strings and lists of its own first.

use host_capabilities::bindings::connector::exports::wharf::endpoints::endpoints as wit;
use host_model::http_types::InboundRequest;
use http::HeaderMap;
use wasmtime::component::{ComponentType, Lower, TypedFunc};

/// The export `receive`.
pub(crate) type Receive<'a> = TypedFunc<(&'a LentRequest<'a>,), (Result<wit::Received, wit::CallError>,)>;

/// The record `inbound-request` of `wharf:endpoints`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct LentRequest<'a> {
    endpoint: &'a str,
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a [LentHeader<'a>],
    body: &'a [u8],
}

/// The record `header` of `wharf:types`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct LentHeader<'a> {
    name: &'a str,
    value: &'a [u8],
}

impl<'a> LentRequest<'a> {
    pub(crate) fn of(request: &'a InboundRequest, headers: &'a [LentHeader<'a>]) -> Self {
        Self {
            endpoint: request.endpoint.as_str(),
            method: request.method.as_str(),
            path: &request.path,
            query: request.query.as_deref(),
            headers,
            body: &request.body,
        }
    }
}

pub(crate) fn lend_headers(headers: &HeaderMap) -> Vec<LentHeader<'_>> {
    headers.iter().map(|(name, value)| LentHeader { name: name.as_str(), value: value.as_bytes() }).collect()
}
