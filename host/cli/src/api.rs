//! The server's API as the CLI needs it: one request, one answer, and every
//! way in which that can go wrong.

use std::time::Duration;

use host_model::problem::Problem;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Exit;
use crate::profile::Target;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take. A call may take 30 s by default, compiling a
/// large component longer; a run's wait is added to it.
const ANSWER: Duration = Duration::from_secs(180);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("cannot reach {server}: {}", root(source))]
    Unreachable { server: String, source: reqwest::Error },
    #[error("{} ({})", problem.detail, problem.code)]
    Refused { problem: Problem, retry_after: Option<String>, had_token: bool },
    #[error("{server} answered something that this `wharf` does not understand: {why}")]
    Strange { server: String, why: String },
}

impl ApiError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Strange { .. } => Exit::Failed,
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
            Self::Refused { problem, retry_after, had_token } => match problem.status {
                401 if *had_token => Some("the server does not know this token".to_owned()),
                401 => Some("pass `--token`, or set WHARF_TOKEN, or put `token` into the profile".to_owned()),
                403 | 404 => Some("it is not there, or not for your token to see".to_owned()),
                429 | 503 => retry_after.as_ref().map(|seconds| format!("try again in {seconds} s")),
                _ => None,
            },
        }
    }
}

/// The last cause is the one that tells: "connection refused", not "error sending request".
fn root(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    if error.is_timeout() { format!("no answer in time ({last})") } else { last.to_string() }
}

/// A good answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

/// The server, as one token sees it.
pub(crate) struct Api {
    client: Client,
    server: Url,
    token: Option<String>,
}

/// One request under way.
pub(crate) struct Ask<'a> {
    api: &'a Api,
    request: RequestBuilder,
}

impl Api {
    pub(crate) fn new(target: &Target) -> Result<Self, ApiError> {
        // Somebody else in this process may have chosen already: then that one stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // The API never redirects; whoever does shall not get the token.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("wharf/", env!("CARGO_PKG_VERSION")));
        if is_here(&target.server) {
            client = client.no_proxy();
        }
        let server = target.server.clone();
        let client =
            client.build().map_err(|source| ApiError::Unreachable { server: server.to_string(), source })?;
        Ok(Self { client, server, token: target.token.clone() })
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path, &[])
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path, &[])
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path, &[])
    }

    pub(crate) fn put(&self, path: &str) -> Ask<'_> {
        self.ask(Method::PUT, path, &[])
    }

    /// A request with a query. `path` is made of parsed names only, so nothing
    /// in it needs escaping.
    pub(crate) fn ask(&self, method: Method, path: &str, query: &[(&str, String)]) -> Ask<'_> {
        let mut url = self.server.clone();
        url.set_path(&format!("{}{path}", self.server.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Ask { api: self, request }
    }

    /// Reads a known shape out of an answer.
    pub(crate) fn read<T: DeserializeOwned>(&self, body: &Value) -> Result<T, ApiError> {
        T::deserialize(body).map_err(|error| self.strange(error.to_string()))
    }

    fn strange(&self, why: String) -> ApiError {
        ApiError::Strange { server: self.server.to_string(), why }
    }

    async fn refusal(&self, response: Response) -> ApiError {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.map(str::to_owned);
        let bytes = response.bytes().await.unwrap_or_default();
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            // Something between us and the server answered in its own way.
            let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            let detail = format!("the server answered {status} {}", text.trim());
            Problem { status: status.as_u16(), code: "http".to_owned(), detail: detail.trim().to_owned() }
        });
        ApiError::Refused { problem, retry_after, had_token: self.token.is_some() }
    }
}

impl Ask<'_> {
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub(crate) fn body(mut self, media_type: &str, body: Vec<u8>) -> Self {
        self.request = self.request.header("content-type", media_type).body(body);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// The server will take this much longer, because it was asked to wait.
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.request = self.request.timeout(ANSWER + wait);
        self
    }

    /// The answer, if it is a good one.
    pub(crate) async fn answer(self) -> Result<Answer, ApiError> {
        let Self { api, request } = self;
        let unreachable = |source| ApiError::Unreachable { server: api.server.to_string(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(api.refusal(response).await);
        }
        let bytes = response.bytes().await.map_err(unreachable)?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|error| api.strange(error.to_string()))?
        };
        Ok(Answer { status, body })
    }

    /// The answer's body as JSON.
    pub(crate) async fn value(self) -> Result<Value, ApiError> {
        Ok(self.answer().await?.body)
    }
}

/// Whether the server is on this machine: then no proxy can be meant.
fn is_here(server: &Url) -> bool {
    server.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    })
}
