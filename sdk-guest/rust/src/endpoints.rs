//! What a connector's endpoints take and give.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::connector::exports::wharf::endpoints::endpoints as wit;
use crate::{Error, Headers};

/// What an outbound call comes with besides its input.
#[derive(Clone, Debug)]
pub struct Context {
    /// The endpoint called.
    pub endpoint: String,
    /// The same for every repetition of this step. Send it to the outside
    /// system so that the effect happens once.
    pub idempotency_key: String,
}

/// A verified request from outside.
#[derive(Clone, Debug)]
pub struct Request {
    /// The endpoint it was sent to.
    pub endpoint: String,
    /// `POST`, `GET`, ...
    pub method: String,
    /// What follows the endpoint in the path, without a leading slash.
    pub path: String,
    /// The raw query, without `?`.
    pub query: Option<String>,
    /// In order of arrival.
    pub headers: Headers,
    /// The raw bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The body as a type of yours; a body that does not fit is `invalid-input`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Error::InvalidInput(format!("the body is not the JSON expected: {error}")))
    }
}

impl From<wit::InboundRequest> for Request {
    fn from(raw: wit::InboundRequest) -> Self {
        let wit::InboundRequest { endpoint, method, path, query, headers, body } = raw;
        Self { endpoint, method, path, query, headers: Headers(headers), body }
    }
}

/// A message as a connector emits it; the host adds id, source and time.
#[derive(Clone, Debug)]
pub struct Draft(wit::Draft);

impl Draft {
    /// A message of this kind (`lead`) with this data.
    pub fn new<T: Serialize>(kind: &str, data: &T) -> Result<Self, Error> {
        let data = to_json(data)?;
        Ok(Self(wit::Draft { kind: kind.to_owned(), subject: None, data }))
    }

    /// The business object it is about, for search.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = Some(subject.into());
        self
    }
}

/// The immediate answer to the caller.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

impl Answer {
    /// An empty answer with this status, 200 to 599.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Headers::default(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// A plain text as its body.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.body = text.into().into_bytes();
        self.header("content-type", "text/plain; charset=utf-8")
    }

    /// JSON as its body.
    pub fn json<T: Serialize>(mut self, value: &T) -> Result<Self, Error> {
        self.body = to_json(value)?.into_bytes();
        Ok(self.header("content-type", "application/json"))
    }
}

/// What an inbound endpoint makes of a request.
#[derive(Clone, Debug, Default)]
pub struct Received {
    messages: Vec<Draft>,
    answer: Option<Answer>,
}

impl Received {
    /// One message; the host answers with the run's id or its result.
    pub fn message(draft: Draft) -> Self {
        Self { messages: vec![draft], answer: None }
    }

    /// Several messages, at most 100.
    pub fn messages(drafts: impl IntoIterator<Item = Draft>) -> Self {
        Self { messages: drafts.into_iter().collect(), answer: None }
    }

    /// No message, only this answer.
    pub fn answer(answer: Answer) -> Self {
        Self { messages: Vec::new(), answer: Some(answer) }
    }

    /// Answers so instead of with the run's id.
    #[must_use]
    pub fn answering(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }
}

impl From<Received> for wit::Received {
    fn from(received: Received) -> Self {
        Self {
            messages: received.messages.into_iter().map(|draft| draft.0).collect(),
            answer: received.answer.map(|answer| wit::Answer {
                status: answer.status,
                headers: answer.headers.0,
                body: answer.body,
            }),
        }
    }
}

/// Only a map with keys that are no text, or a `Serialize` that fails, gets here.
fn to_json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Permanent(format!("cannot be written as JSON: {error}")))
}
