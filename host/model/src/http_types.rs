//! A webhook's request and its answer, free of any server.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::name::EndpointName;

/// Who sent a request, as far as the host and the proxies that it trusts can
/// tell; beside the request in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A request for an inbound endpoint, its body read whole.
#[derive(Clone, Debug)]
pub struct InboundRequest {
    /// The endpoint that the path names.
    pub endpoint: EndpointName,
    /// The method.
    pub method: Method,
    /// What follows the endpoint in the path, without a leading slash.
    pub path: String,
    /// The raw query.
    pub query: Option<String>,
    /// The headers, the caller's credentials removed.
    pub headers: HeaderMap,
    /// The raw bytes.
    pub body: Bytes,
}

/// An immediate answer to an inbound request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: StatusCode,
    /// Headers that the host allows a guest to set.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A status and nothing else.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

/// What a connector made of an inbound request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Each starts a run of every workflow that it triggers.
    pub messages: Vec<crate::message::Draft>,
    /// `None`: the host answers with the run.
    pub answer: Option<Answer>,
}
