//! What the attribute macros' code calls. Not for authors.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::connector::exports::wharf::endpoints::endpoints::{
    self as wit, CallRequest, Direction, Endpoint, InboundRequest,
};
use crate::bindings::connector::wharf::types::types::{CallError, Message as RawMessage};
use crate::workflow::Message;
use crate::{Context, Error, Received, Request};

/// Before anything else in every export.
pub fn start() {
    crate::panic::install();
}

/// One line of `describe`.
pub fn endpoint(name: &str, inbound: bool) -> Endpoint {
    let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
    Endpoint { name: name.to_owned(), direction }
}

/// Runs an outbound endpoint: JSON in, JSON out.
pub fn outbound<I: DeserializeOwned, O: Serialize>(
    request: CallRequest,
    run: impl FnOnce(I, &Context) -> Result<O, Error>,
) -> Result<String, CallError> {
    let input = serde_json::from_str(&request.input)
        .map_err(|error| Error::InvalidInput(format!("the input of `{}`: {error}", request.endpoint)))?;
    let context = Context { endpoint: request.endpoint, idempotency_key: request.idempotency_key };
    output(&run(input, &context)?)
}

/// Runs an inbound endpoint.
pub fn inbound(
    request: InboundRequest,
    run: impl FnOnce(&Request) -> Result<Received, Error>,
) -> Result<wit::Received, CallError> {
    Ok(run(&Request::from(request))?.into())
}

/// Runs a workflow.
pub fn workflow<O: Serialize>(
    message: RawMessage,
    run: impl FnOnce(Message) -> Result<O, Error>,
) -> Result<String, CallError> {
    output(&run(message.into())?)
}

/// An endpoint that this code does not serve.
pub fn unknown(name: &str) -> CallError {
    CallError::NotFound(format!("this connector has no endpoint `{name}` in this direction"))
}

fn output<O: Serialize>(value: &O) -> Result<String, CallError> {
    serde_json::to_string(value)
        .map_err(|error| CallError::Permanent(format!("the output is not JSON: {error}")))
}
