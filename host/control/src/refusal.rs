//! Why a call of the API was refused, and the only place where that becomes a
//! status and a body (RFC 9457).

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use host_model::outcome::{CallError, Outcome};
use host_model::problem::{PROBLEM_JSON, Problem};
use host_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use registry::{PackageError, PublishError, ReadError, SignatureError};

use crate::catalog::EditError;
use crate::ports::{PortError, RepairError};
use crate::tokens::{NoEntry, TokenError};

/// A refused call.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No token, or none that is known.
    Unauthorized,
    /// Too many tokens that are none came from there.
    TooManyFailures(Duration),
    /// The token is known and not enough; the text says what is.
    Forbidden(String),
    /// There is no such thing, or it is not this token's to see: one answer for both.
    Absent,
    /// The request itself is wrong: status, code, detail.
    Wrong(StatusCode, &'static str, String),
    /// No place now.
    Busy(Duration),
    /// A quota is used up, or the host is short of something. The text is shown.
    NoRoom(String, Duration),
    /// The host failed. The cause is for the log.
    Internal(Box<dyn Error + Send + Sync>),
}

impl Refusal {
    /// A request that cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::Wrong(StatusCode::BAD_REQUEST, "bad-request", detail.into())
    }

    /// A request that can be read and does not fit.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Wrong(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail.into())
    }

    /// A body over its limit.
    pub(crate) fn too_large(limit: usize) -> Self {
        let detail = format!("the body is over the limit of {limit} bytes");
        Self::Wrong(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
    }

    fn problem(self) -> Problem {
        match self {
            Self::Unauthorized => Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send a token that this host knows: `Authorization: Bearer wharf_...`",
            ),
            Self::TooManyFailures(_) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-failures",
                "too many tokens that this host does not know came from your address: try again later",
            ),
            Self::Forbidden(detail) => Problem::new(StatusCode::FORBIDDEN, "forbidden", detail),
            Self::Absent => Problem::new(
                StatusCode::NOT_FOUND,
                "not-found",
                "there is no such thing, or it is not for this token to see",
            ),
            Self::Wrong(status, code, detail) => Problem::new(status, code, detail),
            Self::Busy(_) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "busy",
                "all of this tenant's places are taken: try again later",
            ),
            Self::NoRoom(detail, _) => Problem::new(StatusCode::TOO_MANY_REQUESTS, "no-room", detail),
            Self::Internal(_) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the host failed; its log says why",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let extra = match &self {
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::Busy(wait) | Self::TooManyFailures(wait) | Self::NoRoom(_, wait) => {
                Some((header::RETRY_AFTER, seconds(*wait).into()))
            }
            Self::Internal(cause) => {
                tracing::error!(cause = causes(cause.as_ref()), "a call of the API failed");
                None
            }
            _ => None,
        };
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        response.headers_mut().extend(extra);
        response
    }
}

/// Whole seconds, rounded up: a caller that comes back too early waits twice.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::TooMany(_) => Self::Wrong(StatusCode::CONFLICT, "too-many-tokens", error.to_string()),
            other => Self::Internal(other.into()),
        }
    }
}

impl From<NoEntry> for Refusal {
    fn from(error: NoEntry) -> Self {
        match error {
            NoEntry::Unknown => Self::Unauthorized,
            NoEntry::TooMany(wait) => Self::TooManyFailures(wait),
            NoEntry::Failed(error) => error.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Busy(wait) => Self::Busy(wait),
            PortError::NoRoom(detail, wait) => Self::NoRoom(detail, wait),
            PortError::Refused(detail) => Self::invalid(detail),
            PortError::Internal(_) => Self::Internal(error.into()),
        }
    }
}

impl From<RepairError> for Refusal {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Absent => Self::Absent,
            RepairError::Clash(code, detail) => Self::Wrong(StatusCode::CONFLICT, code, detail),
            RepairError::Wrong(code, detail) => Self::Wrong(StatusCode::UNPROCESSABLE_ENTITY, code, detail),
            RepairError::Host(error) => error.into(),
        }
    }
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Objections(objections) => {
                let lines: Vec<_> = objections.into_iter().map(|objection| objection.message).collect();
                Self::invalid(lines.join("\n"))
            }
            EditError::Absent => Self::Absent,
            EditError::NothingWaits(..) => {
                Self::Wrong(StatusCode::CONFLICT, "nothing-waits", error.to_string())
            }
            EditError::NotShown(..) => Self::Wrong(StatusCode::CONFLICT, "changed", error.to_string()),
            EditError::Contended => Self::Wrong(StatusCode::CONFLICT, "contended", error.to_string()),
            EditError::Port(error) => error.into(),
            EditError::Blob(_) | EditError::Store(_) | EditError::Registry(_) => Self::Internal(error.into()),
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let detail = error.to_string();
        match error {
            PublishError::Package(PackageError::TooLarge(_)) => {
                Self::Wrong(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
            }
            PublishError::Package(_) => Self::Wrong(StatusCode::UNPROCESSABLE_ENTITY, "bad-package", detail),
            PublishError::Signature(SignatureError::Missing) => {
                Self::Wrong(StatusCode::FORBIDDEN, "package-not-signed", detail)
            }
            PublishError::Signature(_) => Self::Wrong(StatusCode::FORBIDDEN, "bad-signature", detail),
            PublishError::Reserved(_) => Self::Wrong(StatusCode::FORBIDDEN, "namespace-reserved", detail),
            PublishError::Immutable { .. } => Self::Wrong(StatusCode::CONFLICT, "version-exists", detail),
            PublishError::Storage(_) => Self::Internal(error.into()),
        }
    }
}

/// What a connector's "no" is to whoever called it by hand. The outside
/// system's "unauthorized" and "not found" are not the API's: they are 502.
impl<T> From<Outcome<T>> for Refusal {
    fn from(outcome: Outcome<T>) -> Self {
        let gateway = |code, detail| Self::Wrong(StatusCode::BAD_GATEWAY, code, detail);
        match outcome.map(drop) {
            Outcome::Declined(error) => match &error {
                CallError::InvalidInput(_) => {
                    Self::Wrong(StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", error.to_string())
                }
                CallError::RateLimited(ms) => Self::Busy(Duration::from_millis(ms.unwrap_or(1_000))),
                CallError::Conflict(_) => {
                    Self::Wrong(StatusCode::CONFLICT, "upstream-conflict", error.to_string())
                }
                CallError::Retry(_) => {
                    Self::Wrong(StatusCode::SERVICE_UNAVAILABLE, "upstream-unavailable", error.to_string())
                }
                CallError::Unauthorized(_) => gateway("upstream-unauthorized", error.to_string()),
                CallError::NotFound(_) => gateway("upstream-not-found", error.to_string()),
                CallError::Permanent(_) | CallError::Other(_) => {
                    gateway("upstream-failed", error.to_string())
                }
            },
            Outcome::Exceeded(exceeded) => gateway("bound-passed", format!("the connector {exceeded}")),
            Outcome::Trapped(trap) => gateway("connector-crashed", format!("the connector crashed: {trap}")),
            Outcome::BadAnswer(why) => {
                gateway("bad-answer", format!("the connector gave a bad answer: {why}"))
            }
            Outcome::Answered(()) => gateway("bad-answer", "the connector's answer is not JSON".to_owned()),
        }
    }
}
