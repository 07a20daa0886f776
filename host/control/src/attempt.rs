//! Requests on their way to the audit log: around every operation stands
//! [`audited`], and whatever an operation does, it does in an [`Attempt`].
//!
//! Invariants
//! - No 2xx of an operation that changes something is sent without its entry: a
//!   handler writes it with the change, or else it is written here, before the answer.
//! - What changes something comes to its end also if the caller goes away.
//! - What may be asked very often (refusals, failed logins, calls) is counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use host_audit::{Act, Actor, Chain, Deed, Outcome, RequestId};
use host_model::http_types::Peer;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use tracing::Instrument;

use crate::Control;
use crate::refusal::Refusal;
use crate::tokens::Token;

/// Where an answer says which request it is to.
const REQUEST_ID: &str = "x-request-id";
/// What somebody with no token that is good did, as the log calls it.
pub(crate) const LOGIN: &str = "login";
/// What is not in the API.
const NO_OPERATION: &str = "none";
/// Operations by which data goes through and nothing of the set-up changes.
/// They may be called very often, so they are counted.
const USES: [&str; 4] = ["check_connection", "call_endpoint", "send_event", "publish_to_topic"];

/// What an operation is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Reads,
    Uses,
    Changes,
}

/// One operation of the API.
#[derive(Clone, Debug)]
struct Operation {
    id: &'static str,
    sort: Sort,
    /// What kind of thing it is about: `connection`.
    kind: String,
}

/// The operations, by method and path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations(HashMap<(Method, String), Operation>);

impl Operations {
    /// Adds one; the path is whole, with its parameters in braces.
    pub(crate) fn add(&mut self, method: Method, path: String, root: &str, id: &'static str) {
        let sort = match method {
            Method::GET => Sort::Reads,
            _ if USES.contains(&id) => Sort::Uses,
            _ => Sort::Changes,
        };
        let kind = kind_of(path.strip_prefix(root).unwrap_or(&path));
        self.0.insert((method, path), Operation { id, sort, kind });
    }

    fn of(&self, parts: &Parts) -> Option<&Operation> {
        let path = parts.extensions.get::<MatchedPath>()?.as_str().to_owned();
        self.0.get(&(parts.method.clone(), path))
    }
}

/// `connection` of `/tenants/{tenant}/connections/{name}/check`.
fn kind_of(path: &str) -> String {
    let in_tenant = path.strip_prefix("/tenants/{tenant}/");
    let word = in_tenant.unwrap_or(path).split('/').find(|part| !part.is_empty()).unwrap_or_default();
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

/// One request of an operation.
#[derive(Debug)]
pub(crate) struct Attempt {
    operation: &'static str,
    changes: bool,
    from: Option<IpAddr>,
    request: RequestId,
    /// Known as soon as it is known who asks.
    act: OnceLock<(Arc<Act>, Chain)>,
}

impl Attempt {
    /// Now it is known who asks.
    pub(crate) fn begin(parts: &Parts, token: &Token) -> Arc<Act> {
        let by =
            Actor::Token { id: token.id, role: token.scope.role_name().to_owned(), note: token.note.clone() };
        let Some(attempt) = parts.extensions.get::<Arc<Self>>() else {
            let mut act = Act::of_host(NO_OPERATION);
            act.by = by;
            return Arc::new(act);
        };
        let act = Act::new(by, attempt.from, attempt.request.clone(), attempt.operation);
        let own = (Arc::new(act), Chain::of(token.scope.tenant()));
        Arc::clone(&attempt.act.get_or_init(|| own).0)
    }

    /// Whether it is to change something.
    pub(crate) fn changes(parts: &Parts) -> bool {
        parts.extensions.get::<Arc<Self>>().is_some_and(|attempt| attempt.changes)
    }
}

/// An id for a request that came just now.
pub(crate) fn request_id() -> Result<RequestId, Refusal> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| Refusal::Internal(error.into()))?;
    Ok(RequestId::new(random))
}

/// Answers a request, and sees to its entry.
pub(crate) async fn audited(
    State((control, operations)): State<(Control, Arc<Operations>)>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let id = match request_id() {
        Ok(id) => id,
        Err(refusal) => return refusal.into_response(),
    };
    let (mut parts, body) = request.into_parts();
    let operation = operations.of(&parts).cloned();
    let attempt = Arc::new(Attempt {
        operation: operation.as_ref().map_or(NO_OPERATION, |operation| operation.id),
        changes: operation.as_ref().is_some_and(|operation| operation.sort == Sort::Changes),
        from: parts.extensions.get().map(|Peer(address)| *address),
        request: id,
        act: OnceLock::new(),
    });
    parts.extensions.insert(Arc::clone(&attempt));
    let deed = match &operation {
        Some(operation) => about(operation, &mut parts).await,
        None => Deed::new(Chain::Host, "", ""),
    };
    let reads = operation.as_ref().is_none_or(|operation| operation.sort == Sort::Reads);
    let request = Request::from_parts(parts, body);
    let (tasks, id) = (control.audit.tasks().clone(), HeaderValue::try_from(attempt.request.to_string()));
    let answering = async move {
        let response = next.run(request).await;
        let sort = operation.map_or(Sort::Reads, |operation| operation.sort);
        match entered(&control, &attempt, sort, deed, response.status()).await {
            Ok(()) => response,
            Err(refusal) => refusal.into_response(),
        }
    };
    let mut response = match reads {
        true => answering.await,
        false => match tasks.spawn(answering.in_current_span()).await {
            Ok(response) => response,
            Err(error) => Refusal::Internal(error.into()).into_response(),
        },
    };
    response.headers_mut().extend(id.ok().map(|id| (http::HeaderName::from_static(REQUEST_ID), id)));
    response
}

/// What a request is about, as its path and query say.
async fn about(operation: &Operation, parts: &mut Parts) -> Deed {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let (mut name, mut chain, mut detail) = (String::new(), Chain::Host, Vec::new());
    for (key, value) in params.iter().flatten() {
        match key {
            "tenant" => chain = value.parse().map_or(Chain::Host, Chain::Tenant),
            "name" => name = value.to_owned(),
            key => detail.push(format!("{key}={value}")),
        }
    }
    if operation.kind == "tenant"
        && let Chain::Tenant(tenant) = &chain
    {
        name = tenant.to_string();
    }
    detail.extend(parts.uri.query().map(|query| format!("?{query}")));
    Deed::new(chain, &operation.kind, &name).detail(&detail.join(" "))
}

/// Sees to the entry of what was answered so.
async fn entered(
    control: &Control,
    attempt: &Attempt,
    sort: Sort,
    deed: Deed,
    status: StatusCode,
) -> Result<(), Refusal> {
    let audit = &control.audit;
    let Some((act, own)) = attempt.act.get() else {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
            let act = Act::new(Actor::Nobody, attempt.from, attempt.request.clone(), LOGIN);
            let told = audit.tell(&act, Deed::new(Chain::Host, "token", ""), Outcome::Refused).await;
            // They are refused all the same.
            told.unwrap_or_else(|error| tracing::warn!(%error, "a failed login is not in the audit log"));
        }
        return Ok(());
    };
    // Somebody of a tenant acts on nothing but that tenant's, and asks in vain for the rest.
    let chain = if *own == Chain::Host { deed.chain.clone() } else { own.clone() };
    let deed = match act.named() {
        Some(name) => Deed { chain, ..Deed::new(Chain::Host, &deed.kind, name) },
        None => Deed { chain, ..deed },
    };
    let written = match (status, sort) {
        (StatusCode::FORBIDDEN, _) => audit.tell(act, deed, Outcome::Refused).await,
        (_, Sort::Reads) => Ok(()),
        (status, _) if status.is_server_error() => audit.tell(act, deed, Outcome::Failed).await,
        (status, _) if !status.is_success() => Ok(()),
        (_, Sort::Uses) => audit.tell(act, deed, Outcome::Done).await,
        (_, Sort::Changes) if act.is_settled() => Ok(()),
        (_, Sort::Changes) => audit.record(act, deed, Outcome::Done).await,
    };
    written.map_err(|error| Refusal::Internal(error.into()))
}

#[test]
fn the_kind_of_a_thing_is_in_its_path() {
    let kinds = [
        ("/tenants/{tenant}/connections/{name}/check", "connection"),
        ("/tenants/{tenant}/dead-letters/dismiss", "dead-letter"),
        ("/tenants/{tenant}", "tenant"),
        ("/keys/rotate-master", "key"),
        ("/apply", "apply"),
    ];
    for (path, kind) in kinds {
        assert_eq!(kind_of(path), kind, "{path}");
    }
}
