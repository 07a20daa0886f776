//! What a caller is told when there is no reply.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use host_model::name::ConnectionName;
use host_model::outcome::{Bound, CallError, Exceeded, Outcome};
use host_model::problem::{PROBLEM_JSON, Problem};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// What a guest's "not so fast" means if it names no time: a human pause.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Unknown tenant, connection, endpoint or workflow, or not this caller's.
    #[error("no such route")]
    NoRoute,
    /// The path is right, the method is not.
    #[error("the method is not allowed, {allow} is")]
    MethodNotAllowed {
        /// What would be allowed, as in the `Allow` header.
        allow: &'static str,
    },
    /// The request is malformed. The text says how, and is shown.
    #[error("{0}")]
    BadRequest(String),
    /// There is no token, or not a valid one.
    #[error("the token is missing or not valid")]
    Unauthorized,
    /// Too many tokens that are none came from there.
    #[error("too many tokens that are none came from there")]
    TooManyFailures {
        /// When to come again.
        retry_after: Duration,
    },
    /// The token is known and not enough.
    #[error("the token is not enough: {0}")]
    Forbidden(String),
    /// The request does not come from whom the connection takes requests from.
    #[error("the request is not verified")]
    Unverified {
        /// Which kind of proof is wanted, for `WWW-Authenticate`.
        challenge: &'static str,
    },
    /// The connection does not say how requests to it are verified.
    #[error("connection `{connection}` does not say how requests to its hooks are verified")]
    HooksClosed {
        /// Which connection.
        connection: ConnectionName,
    },
    /// The connection says how, and lacks what that takes.
    #[error("requests to connection `{connection}` cannot be verified for now")]
    Unverifiable {
        /// Which connection.
        connection: ConnectionName,
    },
    /// Path and query are too long.
    #[error("path and query have more than {limit} bytes")]
    UriTooLong {
        /// Bytes.
        limit: usize,
    },
    /// The headers are too many or too long.
    #[error("the headers have more than {lines} lines or {bytes} bytes")]
    HeadersTooLarge {
        /// How many lines are allowed.
        lines: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// The body is too long.
    #[error("the body has more than {limit} bytes")]
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body took too long to arrive.
    #[error("the body did not arrive within {} s", limit.as_secs_f32())]
    BodyTooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// The idempotency key came before, with another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The run has ended and takes no event any more.
    #[error("the run has ended and takes no event any more")]
    RunOver,
    /// The event came before, or its time is over.
    #[error("the event came before, or is not waited for any more; the first one counts")]
    EventTaken,
    /// The tenant has as many calls going on as it may.
    #[error("the tenant is busy")]
    Busy {
        /// When to come again.
        retry_after: Duration,
    },
    /// A quota of the tenant's is used up.
    #[error("{why}")]
    OverQuota {
        /// Which, how much of how much, and what to do: for the caller.
        why: String,
        /// When to come again.
        retry_after: Duration,
    },
    /// The host is short of memory or disk and takes nothing new.
    #[error("the host is short of {what} and takes nothing new for now")]
    Short {
        /// Of what.
        what: &'static str,
    },
    /// The host is about to stop.
    #[error("the host is about to stop")]
    Draining,
    /// No more runs can be stored for now.
    #[error("the backlog is full")]
    Full,
    /// The connector emitted a message that starts no workflow; taking it would lose it.
    #[error("connection `{connection}` emitted a message that starts no workflow")]
    NoWorkflow {
        /// Which connection.
        connection: ConnectionName,
    },
    /// The connector said no to the request.
    #[error("the connector declined: {0}")]
    Declined(CallError),
    /// The connector passed a bound.
    #[error("the connector {0}")]
    GuestExceeded(Exceeded),
    /// The connector crashed or gave a bad answer. The text is for the log.
    #[error("the connector failed: {0}")]
    GuestFailed(String),
    /// The host failed. The cause is for the log.
    #[error("the host failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// How a refusal looks from outside.
struct Told {
    status: StatusCode,
    code: &'static str,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Told {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), header: None }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// Whole seconds, rounded up: coming early would be refused again.
    fn after(self, wait: Duration) -> Self {
        self.with(header::RETRY_AFTER, wait.as_millis().div_ceil(1_000).max(1) as u64)
    }
}

impl Refusal {
    /// A host error, whose cause is logged and never shown.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The answer of a guest's call, or what its caller is told instead.
    pub fn unless_answered<T>(outcome: Outcome<T>) -> Result<T, Self> {
        match outcome {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Declined(error) => Err(Self::Declined(error)),
            Outcome::Exceeded(exceeded) => Err(Self::GuestExceeded(exceeded)),
            Outcome::Trapped(trap) => Err(Self::GuestFailed(trap)),
            Outcome::BadAnswer(why) => Err(Self::GuestFailed(why)),
        }
    }

    /// The problem document that the caller gets.
    pub fn problem(&self) -> Problem {
        let told = self.told();
        Problem::new(told.status, told.code, told.detail)
    }

    /// The only place where a refusal becomes an HTTP status.
    fn told(&self) -> Told {
        use StatusCode as S;
        match self {
            Self::NoRoute => {
                Told::new(S::NOT_FOUND, "no-route", "no such tenant, connection, endpoint or workflow")
            }
            Self::MethodNotAllowed { allow } => {
                Told::new(S::METHOD_NOT_ALLOWED, "method-not-allowed", format!("use {allow}"))
                    .with(header::ALLOW, HeaderValue::from_static(allow))
            }
            Self::BadRequest(why) => Told::new(S::BAD_REQUEST, "bad-request", why.as_str()),
            Self::TooManyFailures { retry_after } => Told::new(
                S::TOO_MANY_REQUESTS,
                "too-many-failures",
                "too many tokens that this host does not know came from your address: try again later",
            )
            .after(*retry_after),
            Self::Forbidden(why) => Told::new(S::FORBIDDEN, "forbidden", why.as_str()),
            Self::Unauthorized => {
                Told::new(S::UNAUTHORIZED, "unauthorized", "send a valid token: `Authorization: Bearer …`")
                    .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            // Which part failed is the operator's to read; a forger would try the next.
            Self::Unverified { challenge } => Told::new(
                S::UNAUTHORIZED,
                "unverified",
                "the request is not verified: sign it as this connection expects, once, with a current secret and the time of now",
            )
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)),
            Self::HooksClosed { .. } => Told::new(
                S::FORBIDDEN,
                "hooks-closed",
                format!("{self}: give it a `verify:` with the sender's scheme, or `verify: none` to take what anybody sends"),
            ),
            Self::Unverifiable { .. } => Told::new(
                S::SERVICE_UNAVAILABLE,
                "unverifiable",
                format!("{self}: the host's log says what it lacks; send again later"),
            )
            .after(DEFAULT_RETRY_AFTER),
            Self::UriTooLong { .. } => Told::new(S::URI_TOO_LONG, "uri-too-long", self.to_string()),
            Self::HeadersTooLarge { .. } => {
                Told::new(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", self.to_string())
            }
            Self::BodyTooLarge { .. } => Told::new(S::PAYLOAD_TOO_LARGE, "body-too-large", self.to_string()),
            Self::BodyTooSlow { .. } => Told::new(S::REQUEST_TIMEOUT, "body-too-slow", self.to_string()),
            Self::KeyReused => Told::new(
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "this Idempotency-Key came before with another request: use a new key for a new request",
            ),
            Self::RunOver => Told::new(S::GONE, "run-over", self.to_string()),
            Self::EventTaken => Told::new(S::CONFLICT, "event-taken", self.to_string()),
            Self::Busy { retry_after } => Told::new(
                S::TOO_MANY_REQUESTS,
                "busy",
                "the tenant has as many calls going on as it may: try again later",
            )
            .after(*retry_after),
            Self::OverQuota { why, retry_after } => {
                Told::new(S::TOO_MANY_REQUESTS, "quota-used-up", why.as_str()).after(*retry_after)
            }
            Self::Short { .. } => Told::new(S::SERVICE_UNAVAILABLE, "host-short", self.to_string())
                .after(DEFAULT_RETRY_AFTER),
            Self::Draining => {
                Told::new(S::SERVICE_UNAVAILABLE, "draining", "the host is about to stop: try again later")
                    .after(DEFAULT_RETRY_AFTER)
            }
            Self::Full => Told::new(
                S::SERVICE_UNAVAILABLE,
                "full",
                "no more runs can be accepted for now: try again later",
            )
            .after(DEFAULT_RETRY_AFTER),
            Self::NoWorkflow { .. } => Told::new(
                S::SERVICE_UNAVAILABLE,
                "no-workflow",
                format!("{self}: give a workflow a trigger for it, then send again"),
            )
            .after(DEFAULT_RETRY_AFTER),
            Self::Declined(error) => declined(error),
            Self::GuestExceeded(exceeded) => {
                Told::new(S::BAD_GATEWAY, exceeded_code(exceeded.bound), self.to_string())
            }
            // A trap's text is the author's to read, not a stranger's.
            Self::GuestFailed(_) => Told::new(S::BAD_GATEWAY, "connector-failed", "the connector failed"),
            // The cause goes to the operator's log, never to the caller.
            Self::Internal(_) => {
                Told::new(S::INTERNAL_SERVER_ERROR, "internal", "the host failed; its log says more")
            }
        }
    }

    fn log(&self) {
        match self {
            Self::Internal(cause) => {
                tracing::error!(cause = %chain(cause.as_ref()), "answered 500: the host failed");
            }
            Self::GuestFailed(why) => tracing::warn!(cause = %why, "answered 502: the connector failed"),
            Self::GuestExceeded(exceeded) => {
                tracing::warn!(bound = %exceeded.bound, "answered 502: the connector {exceeded}");
            }
            _ => {}
        }
    }
}

/// As `receive` in `wit/deps/wharf-endpoints` promises. Only the text for a bad
/// input is meant for the caller; the others may speak of systems behind us.
fn declined(error: &CallError) -> Told {
    use StatusCode as S;
    match error {
        CallError::InvalidInput(why) => Told::new(S::BAD_REQUEST, "invalid-input", why.as_str()),
        CallError::Unauthorized(_) => {
            Told::new(S::UNAUTHORIZED, "unauthorized", "the connector did not accept the caller")
        }
        CallError::NotFound(_) => Told::new(S::NOT_FOUND, "not-found", "the connector found no such thing"),
        CallError::Conflict(_) => Told::new(S::CONFLICT, "conflict", "it clashes with what is there"),
        CallError::RateLimited(ms) => {
            Told::new(S::TOO_MANY_REQUESTS, "rate-limited", "too many requests: try again later")
                .after(ms.map_or(DEFAULT_RETRY_AFTER, Duration::from_millis))
        }
        CallError::Retry(_) => {
            Told::new(S::SERVICE_UNAVAILABLE, "retry", "a passing failure: try again later")
                .after(DEFAULT_RETRY_AFTER)
        }
        CallError::Permanent(_) | CallError::Other(_) => {
            Told::new(S::BAD_GATEWAY, "connector-declined", "the connector could not take the request")
        }
    }
}

fn exceeded_code(bound: Bound) -> &'static str {
    match bound {
        Bound::Fuel => "exceeded-fuel",
        Bound::WallTime => "exceeded-wall-time",
        Bound::Memory => "exceeded-memory",
        Bound::Stack => "exceeded-stack",
        Bound::HostCallBytes => "exceeded-host-call-bytes",
        Bound::Handles => "exceeded-handles",
        Bound::OutboundCalls => "exceeded-outbound-calls",
        Bound::BodyBytes => "exceeded-body-bytes",
        Bound::LogBytes => "exceeded-log-bytes",
        Bound::OutputBytes => "exceeded-output-bytes",
        Bound::Deadline => "exceeded-deadline",
        Bound::TenantMemory => "exceeded-tenant-memory",
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.log();
        let told = self.told();
        let problem = Problem::new(told.status, told.code, told.detail);
        let mut response = json(told.status, PROBLEM_JSON, &problem);
        if let Some((name, value)) = told.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A JSON response of the host's own.
pub(crate) fn json(status: StatusCode, media: &'static str, body: &impl serde::Serialize) -> Response {
    // Our own types without maps or floats: their JSON cannot fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
