//! The four exports of world `connector`, typed.

use std::sync::Arc;

use bytes::Bytes;
use host_capabilities::bindings::connector::Connector;
use host_capabilities::bindings::connector::exports::wharf::endpoints::endpoints as wit;
use host_capabilities::bindings::connector::wharf::types::types::Header;
use host_capabilities::{Subject, tidy};
use host_model::bounds::Bounds;
use host_model::http_types::{Answer, InboundRequest, Received};
use host_model::manifest::Direction;
use host_model::message::Draft;
use host_model::outcome::{Bound, CallError, Exceeded, Finished, Outcome};
use host_model::resource::{Connection, Package};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use crate::call::{drive, finish, report, report_end};
use crate::lend::{LentRequest, Receive, lend_headers};
use crate::prepare::{LinkedConnector, PrepareError, Prepared};
use crate::{CallFailed, Sandbox};

/// The most messages that one request may become; the store takes them in one commit.
const MAX_MESSAGES: usize = 100;
/// The most headers of an answer.
const MAX_HEADERS: usize = 100;
/// Room for those that ingress adds.
const HOSTS_HEADERS: usize = 4;

impl Sandbox {
    /// Makes an upload ready that the registry does not have yet, instantiates
    /// it, which shows whether its exports are of the world's types, and asks a
    /// connector which endpoints its code serves. Nothing is granted meanwhile.
    pub async fn describe(
        &self,
        package: &Package,
        component: Bytes,
        bounds: &Bounds,
    ) -> Result<Finished<Vec<(String, Direction)>>, CallFailed> {
        let ready = self.prepared.ready_from(package, Some(component)).await?;
        let opened = self.open(None, Subject::Nobody, bounds).await?;
        let wall = bounds.wall;
        let call = Box::pin(async move {
            let (_slot, mut store) = opened;
            let driven = drive(wall, async {
                match ready.prepared() {
                    Some(Prepared::Connector(connector)) => {
                        let guest: Connector = connector.pre.instantiate_async(&mut store).await?;
                        guest.wharf_endpoints_endpoints().call_describe(&mut store).await
                    }
                    Some(Prepared::Workflow(pre)) => {
                        pre.instantiate_async(&mut store).await.map(|_| Vec::new())
                    }
                    Some(Prepared::Proxy(pre)) => pre.instantiate_async(&mut store).await.map(|_| Vec::new()),
                    None => Ok(Vec::new()),
                }
            })
            .await?;
            finish(store, driven, |endpoints, bounds| {
                let size = endpoints.iter().map(|endpoint| endpoint.name.len() + 1).sum();
                if let Err(exceeded) = within(bounds, size) {
                    return Outcome::Exceeded(exceeded);
                }
                let direction = |direction| match direction {
                    wit::Direction::Inbound => Direction::Inbound,
                    wit::Direction::Outbound => Direction::Outbound,
                };
                Outcome::Answered(endpoints.into_iter().map(|e| (e.name, direction(e.direction))).collect())
            })
        });
        self.take_turns(None, call).await
    }

    /// Tests a connection: gives the connector's word on it.
    pub async fn check(&self, connection: &Arc<Connection>) -> Result<Finished<String>, CallFailed> {
        let ready = self.prepared.ready(&connection.package).await?;
        let opened = self.open_for(connection).await?;
        let wall = connection.bounds.wall;
        let call = Box::pin(async move {
            let (_slot, mut store) = opened;
            let connector = connector(ready.prepared())?;
            let driven = drive(wall, async {
                let guest: Connector = connector.pre.instantiate_async(&mut store).await?;
                guest.wharf_endpoints_endpoints().call_check(&mut store).await
            })
            .await?;
            finish(store, driven, |answer, bounds| match answer {
                Ok(text) => {
                    within(bounds, text.len()).map_or_else(Outcome::Exceeded, |()| Outcome::Answered(text))
                }
                Err(error) => declined(error.into(), bounds),
            })
        });
        self.take_turns(Some(&connection.tenant), call).await
    }

    /// Calls an outbound endpoint: one JSON text in, one out.
    pub async fn call(
        &self,
        connection: &Arc<Connection>,
        endpoint: &str,
        input: &str,
        idempotency_key: &str,
    ) -> Result<Finished<String>, CallFailed> {
        let ready = self.prepared.ready(&connection.package).await?;
        let opened = self.open_for(connection).await?;
        let wall = connection.bounds.wall;
        let request = wit::CallRequest {
            endpoint: endpoint.to_owned(),
            input: input.to_owned(),
            idempotency_key: idempotency_key.to_owned(),
        };
        let call = Box::pin(async move {
            let (_slot, mut store) = opened;
            let connector = connector(ready.prepared())?;
            let driven = drive(wall, async {
                let guest: Connector = connector.pre.instantiate_async(&mut store).await?;
                guest.wharf_endpoints_endpoints().call_call(&mut store, &request).await
            })
            .await?;
            finish(store, driven, |answer, bounds| judge_json(answer.map_err(CallError::from), bounds))
        });
        let finished = self.take_turns(Some(&connection.tenant), call).await?;
        report_end(connection, &finished);
        Ok(finished)
    }

    /// Hands an inbound request to its connector.
    pub async fn receive(
        &self,
        connection: &Arc<Connection>,
        request: InboundRequest,
    ) -> Result<Finished<Received>, CallFailed> {
        let ready = self.prepared.ready(&connection.package).await?;
        let opened = self.open_for(connection).await?;
        let wall = connection.bounds.wall;
        let call = Box::pin(async move {
            let (_slot, mut store) = opened;
            let connector = connector(ready.prepared())?;
            let headers = lend_headers(&request.headers);
            let request = LentRequest::of(&request, &headers);
            let driven = drive(wall, async {
                let guest = connector.pre.instance_pre().instantiate_async(&mut store).await?;
                let receive: Receive<'_> = guest.get_typed_func(&mut store, connector.receive)?;
                let (answered,) = receive.call_async(&mut store, (&request,)).await?;
                Ok(answered)
            })
            .await?;
            finish(store, driven, |received, bounds| match received {
                Ok(received) => judge_received(received, bounds),
                Err(error) => declined(error.into(), bounds),
            })
        });
        let finished = self.take_turns(Some(&connection.tenant), call).await?;
        report(connection, &finished);
        Ok(finished)
    }
}

pub(crate) fn connector(prepared: Option<&Prepared>) -> Result<&LinkedConnector, CallFailed> {
    match prepared {
        Some(Prepared::Connector(connector)) => Ok(connector),
        _ => Err(PrepareError::Link("it is not a connector".to_owned()).into()),
    }
}

fn within(bounds: &Bounds, size: usize) -> Result<(), Exceeded> {
    let (limit, used) = (bounds.output_bytes, size as u64);
    if used > limit { Err(Exceeded { bound: Bound::OutputBytes, limit, used }) } else { Ok(()) }
}

/// A "no" is an answer too, so what it says is bounded like one.
fn declined<T>(error: CallError, bounds: &Bounds) -> Outcome<T> {
    within(bounds, error.text().len()).map_or_else(Outcome::Exceeded, |()| Outcome::Declined(error))
}

/// An answer must be one JSON text within its bound.
pub(crate) fn judge_json(answer: Result<String, CallError>, bounds: &Bounds) -> Outcome<String> {
    let text = match answer {
        Ok(text) => text,
        Err(error) => return declined(error, bounds),
    };
    if let Err(exceeded) = within(bounds, text.len()) {
        return Outcome::Exceeded(exceeded);
    }
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Outcome::Answered(text),
        Err(error) => Outcome::BadAnswer(format!("the answer is not JSON: {error}")),
    }
}

fn judge_received(received: wit::Received, bounds: &Bounds) -> Outcome<Received> {
    let message = |draft: &wit::Draft| {
        draft.kind.len() + draft.subject.as_ref().map_or(0, String::len) + draft.data.len()
    };
    let header = |header: &Header| header.name.len() + header.value.len();
    let answer = |answer: &wit::Answer| answer.headers.iter().map(header).sum::<usize>() + answer.body.len();
    let size =
        received.messages.iter().map(message).sum::<usize>() + received.answer.as_ref().map_or(0, answer);
    if let Err(exceeded) = within(bounds, size) {
        return Outcome::Exceeded(exceeded);
    }
    match read_received(received) {
        Ok(received) => Outcome::Answered(received),
        Err(why) => Outcome::BadAnswer(tidy(&why)),
    }
}

fn read_received(received: wit::Received) -> Result<Received, String> {
    if received.messages.len() > MAX_MESSAGES {
        return Err(format!("{} messages, the limit is {MAX_MESSAGES}", received.messages.len()));
    }
    let mut messages = Vec::with_capacity(received.messages.len());
    for message in received.messages {
        let draft = Draft { kind: message.kind, subject: message.subject, data: message.data };
        draft.check().map_err(|bad| bad.to_string())?;
        messages.push(draft);
    }
    let answer = received.answer.map(read_answer).transpose()?;
    Ok(Received { messages, answer })
}

fn read_answer(answer: wit::Answer) -> Result<Answer, String> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("status {} is not between 200 and 599", answer.status))?;
    if answer.headers.len() > MAX_HEADERS {
        return Err(format!("{} headers, the limit is {MAX_HEADERS}", answer.headers.len()));
    }
    let mut headers = HeaderMap::with_capacity(answer.headers.len() + HOSTS_HEADERS);
    for header in answer.headers {
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| format!("`{}` is not a header name", header.name.escape_debug()))?;
        let value = HeaderValue::from_maybe_shared(Bytes::from(header.value))
            .map_err(|_| format!("header `{name}` has control characters"))?;
        headers.append(name, value);
    }
    Ok(Answer { status, headers, body: Bytes::from(answer.body) })
}
