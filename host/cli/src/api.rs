//! The server's API as the CLI needs it: one request, one answer, and every
//! way in which that can go wrong.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use host_model::problem::Problem;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LINK, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use url::Url;

use crate::dial::{self, Client};
use crate::error::{CommandError, Exit};
use crate::profile::Target;

/// How long an answer may take. A call may take 30 s by default, compiling a
/// large component longer; a run's wait is added to it.
const ANSWER: Duration = Duration::from_secs(180);
/// The most bytes of an answer: a page of a thousand runs with a mebibyte of
/// input each is not what a terminal is for.
const MAX_ANSWER: usize = 256 << 20;

/// The longest line of an answer that is read line by line.
const MAX_LINE: usize = 1 << 20;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("cannot reach {server}: {why}")]
    Unreachable { server: String, why: String },
    #[error("{} ({})", problem.detail, problem.code)]
    Refused { problem: Problem, body: Value, retry_after: Option<String>, had_token: bool },
    #[error("{server} answered something that this `wharf` does not understand: {why}")]
    Strange { server: String, why: String },
    #[error("the request cannot be made: {0}; is the token one line of plain text?")]
    Request(#[from] http::Error),
}

impl ApiError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Strange { .. } => Exit::Failed,
            Self::Request(_) => Exit::Usage,
            Self::Refused { problem, .. } => match problem.status {
                401 | 403 | 404 => Exit::Absent,
                429 | 503 => Exit::TryAgain,
                _ => Exit::Failed,
            },
        }
    }

    /// What to do next, if that can be said from here.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => {
                Some("is `wharf up` running there? `--server` or WHARF_SERVER names another".to_owned())
            }
            Self::Strange { .. } => Some("is it a Wharf server, and of this version?".to_owned()),
            Self::Request(_) => None,
            Self::Refused { problem, body, retry_after, had_token } => match problem.status {
                _ if body.get("run").is_some_and(Value::is_string) => {
                    let run = body.get("run").and_then(Value::as_str).unwrap_or_default();
                    Some(format!("`wharf runs show {run}` shows what it did"))
                }
                401 if *had_token => Some(
                    "the server does not know this token; is it expired? `wharf login` gives another"
                        .to_owned(),
                ),
                401 => Some("run `wharf login`, pass `--token`, or set WHARF_TOKEN".to_owned()),
                429 | 503 => retry_after.as_ref().map(|seconds| format!("try again in {seconds} s")),
                _ => None,
            },
        }
    }
}

/// For requests whose path says it all.
const NO_QUERY: &[(&str, &str)] = &[];

/// A good answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// What to pass as `after` for the next page, if there is one.
    pub(crate) next: Option<String>,
}

/// The server, as one token sees it.
pub(crate) struct Api {
    client: Client,
    server: Url,
    token: Option<String>,
}

/// One request, not sent yet.
pub(crate) struct Ask<'a> {
    api: &'a Api,
    head: request::Builder,
    body: Bytes,
    within: Duration,
}

impl Api {
    pub(crate) fn new(target: &Target) -> Result<Self, ApiError> {
        let server = target.server.clone();
        let client = dial::client(&server)
            .map_err(|error| ApiError::Unreachable { server: server.to_string(), why: error.to_string() })?;
        Ok(Self { client, server, token: target.token.clone() })
    }

    /// The token that it sends.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path, NO_QUERY)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path, NO_QUERY)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path, NO_QUERY)
    }

    pub(crate) fn put(&self, path: &str) -> Ask<'_> {
        self.ask(Method::PUT, path, NO_QUERY)
    }

    /// A request with a query. `path` is made of parsed names only, so nothing
    /// in it needs escaping.
    pub(crate) fn ask(&self, method: Method, path: &str, query: &[(&str, impl AsRef<str>)]) -> Ask<'_> {
        let mut url = self.server.clone();
        url.set_path(&format!("{}{path}", self.server.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (name, value.as_ref())));
        }
        let mut head = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            head = head.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ask { api: self, head, body: Bytes::new(), within: ANSWER }
    }

    /// Every item of a list, page after page.
    pub(crate) async fn list(&self, path: &str) -> Result<Value, ApiError> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let query: Vec<_> = after.iter().map(|after: &String| ("after", after.clone())).collect();
            let Answer { body, next, .. } = self.ask(Method::GET, path, &query).answer().await?;
            items.extend(self.read::<Vec<Value>>(&body)?);
            // A server that names the same page again would keep us here for ever.
            match next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(Value::Array(items)),
            }
        }
    }

    /// Reads a known shape out of an answer.
    pub(crate) fn read<T: DeserializeOwned>(&self, body: &Value) -> Result<T, ApiError> {
        T::deserialize(body).map_err(|error| self.strange(error.to_string()))
    }

    fn strange(&self, why: String) -> ApiError {
        ApiError::Strange { server: self.server.to_string(), why }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        let response = self.client.request(request).await.map_err(|error| dial::root(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| dial::root(&*error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn refusal(&self, response: &Response<Bytes>) -> ApiError {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let problem = Problem::deserialize(&body).unwrap_or_else(|_| {
            // Something between us and the server answered in its own way.
            let text: String = String::from_utf8_lossy(response.body()).chars().take(200).collect();
            Problem::new(status, "http", format!("the server answered {status} {text}").trim())
        });
        let retry_after = retry_after.map(str::to_owned);
        ApiError::Refused { problem, body, retry_after, had_token: self.token.is_some() }
    }
}

impl Ask<'_> {
    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        // What the CLI sends is made of texts and numbers: nothing in it can fail to be JSON.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.body("application/json", body)
    }

    pub(crate) fn body(mut self, media_type: &str, body: Vec<u8>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), media_type)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    /// The server will take this much longer, because it was asked to wait.
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.within = ANSWER + wait;
        self
    }

    /// The answer, if it is a good one. A redirect is none: the API never
    /// redirects, and whoever does shall not get the token.
    pub(crate) async fn answer(self) -> Result<Answer, ApiError> {
        let Self { api, head, body, within } = self;
        let exchange = api.exchange(head.body(Full::new(body))?);
        let response = match tokio::time::timeout(within, exchange).await {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Err(ApiError::Unreachable { server: api.server.to_string(), why }),
            Err(_) => {
                let why = format!("no answer within {} s", within.as_secs());
                return Err(ApiError::Unreachable { server: api.server.to_string(), why });
            }
        };
        if !response.status().is_success() {
            return Err(api.refusal(&response));
        }
        let body = match response.body().as_ref() {
            [] => Value::Null,
            bytes => serde_json::from_slice(bytes).map_err(|error| api.strange(error.to_string()))?,
        };
        Ok(Answer { status: response.status(), body, next: next(&response) })
    }

    /// The answer's lines as they come, until `take` has enough: for what is too large to be held.
    pub(crate) async fn lines(
        self,
        mut take: impl FnMut(&str) -> io::Result<ControlFlow<()>>,
    ) -> Result<(), CommandError> {
        let Self { api, head, body, within } = self;
        let lost = |why: String| ApiError::Unreachable { server: api.server.to_string(), why };
        let late = || lost(format!("no answer within {} s", within.as_secs()));
        let request = api.client.request(head.body(Full::new(body)).map_err(ApiError::from)?);
        let response = tokio::time::timeout(within, request).await.map_err(|_| late())?;
        let (head, mut body) = response.map_err(|error| lost(dial::root(&error)))?.into_parts();
        if !head.status.is_success() {
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| lost(dial::root(&*error)))?.to_bytes();
            return Err(api.refusal(&Response::from_parts(head, body)).into());
        }
        let mut rest = Vec::new();
        while let Some(frame) = tokio::time::timeout(within, body.frame()).await.map_err(|_| late())? {
            let frame = frame.map_err(|error| lost(dial::root(&error)))?;
            rest.extend_from_slice(&frame.into_data().unwrap_or_default());
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = rest.drain(..whole).collect();
            let lines = String::from_utf8(lines).map_err(|_| api.strange("a line is no text".to_owned()))?;
            for line in lines.lines() {
                if take(line)?.is_break() {
                    return Ok(());
                }
            }
            if rest.len() > MAX_LINE {
                return Err(api.strange("a line does not end".to_owned()).into());
            }
        }
        let last = String::from_utf8(rest).map_err(|_| api.strange("a line is no text".to_owned()))?;
        if !last.is_empty() {
            let _ = take(&last)?;
        }
        Ok(())
    }

    /// The answer's body as JSON.
    pub(crate) async fn value(self) -> Result<Value, ApiError> {
        Ok(self.answer().await?.body)
    }
}

/// `after` in `<?after=…&limit=…>; rel="next"` (RFC 8288), which is all that the API links to.
fn next(response: &Response<Bytes>) -> Option<String> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let (target, relation) = link.strip_prefix("<?")?.split_once('>')?;
    if !relation.contains("rel=\"next\"") {
        return None;
    }
    let mut pairs = url::form_urlencoded::parse(target.as_bytes());
    pairs.find(|(name, _)| name == "after").map(|(_, after)| after.into_owned())
}
