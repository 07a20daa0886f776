//! One request's journey: from hop to hop, from try to try, to its answer.
//!
//! Takes a guest's request; gives back the answer that it may see. Whatever is
//! sent passes the first gate here, each time, and the second where it is dialled.
//!
//! Invariants
//! - A request is sent again only if repeating it does no harm, all of its
//!   body is at hand and there is time left.
//! - Once a redirect has led to another origin, no credential goes along.
//! - A body of the guest's is never sent in part and then begun again.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use host_model::grants::Origin;
use host_model::resource::Connection;
use http::{Method, Request, Response, Uri};
use hyper_util::client::legacy;
use tokio::time::{Instant, sleep, timeout_at};

use crate::answer::{AnswerBody, REFUSED, Terms, refuse, take_in};
use crate::body::{Body, Broken, Outgoing, empty_body, full_body};
use crate::client::Way;
use crate::conduct::breaker::Health;
use crate::conduct::redirect::{self, From};
use crate::conduct::{provider, retry};
use crate::dial::DialError;
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::gate::{Cleared, clear};
use crate::inject::Injected;
use crate::pool::Pool;

pub(crate) type Answer = Result<Response<AnswerBody>, EgressError>;

/// What is the same all the way.
#[derive(Clone)]
pub(crate) struct Journey {
    pub(crate) way: Arc<Way>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) deadline: Instant,
    pub(crate) body_bytes: u64,
    pub(crate) exchange: Exchange,
}

/// A request that can be sent again: all of its body is at hand.
#[derive(Clone)]
pub(crate) struct Copied {
    pub(crate) origin: Origin,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: http::HeaderMap,
    body: Bytes,
}

impl Copied {
    pub(crate) fn of(cleared: &Cleared) -> Option<Self> {
        let request = &cleared.request;
        Some(Self {
            origin: cleared.origin.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: request.body().whole()?,
        })
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::new(full_body(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

impl Journey {
    /// From hop to hop.
    pub(crate) async fn answer(&self, mut request: Request<Body>) -> Answer {
        let (mut hops, mut with_credentials) = (self.way.settings(&self.connection).redirects, true);
        loop {
            let cleared = clear(&self.connection, &self.way.policy, request, &self.exchange)?;
            let sent = if hops > 0 { Copied::of(&cleared) } else { None };
            let answer = self.hop(cleared, with_credentials).await?;
            let Some(sent) = sent else { return Ok(answer) };
            let Copied { origin, method, uri, headers, body } = &sent;
            let Some(hop) =
                redirect::next(From { origin, uri, method, headers }, answer.status(), answer.headers())?
            else {
                return Ok(answer);
            };
            hops -= 1;
            with_credentials &= !hop.across;
            self.exchange.redirected();
            request = Request::new(if hop.with_body { full_body(body.clone()) } else { empty_body() });
            *request.method_mut() = hop.method;
            *request.uri_mut() = hop.uri;
            *request.headers_mut() = hop.headers;
        }
    }

    /// One hop: an answer that is kept, or under way for another, or a new one.
    async fn hop(&self, cleared: Cleared, with_credentials: bool) -> Answer {
        let pool = self.way.pools.of(&self.connection);
        if !pool.settings.coalesce && pool.keep.is_none() {
            return self.tries(&pool, cleared, with_credentials).await;
        }
        self.read(&pool, cleared, with_credentials).await
    }

    /// From try to try.
    pub(crate) async fn tries(
        &self,
        pool: &Arc<Pool>,
        mut cleared: Cleared,
        with_credentials: bool,
    ) -> Answer {
        let again = pool.settings.retry.and_then(|spec| {
            let repeatable = retry::is_repeatable(cleared.request.method(), cleared.request.headers());
            if repeatable { Some((spec, Copied::of(&cleared)?)) } else { None }
        });
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.try_once(pool, cleared, with_credentials).await;
            let Some((spec, copied)) = &again else { return result };
            let asked = match &result {
                Ok(answer) if answer.headers().contains_key(REFUSED) => return result,
                Ok(answer) if retry::may_pass(answer.status()) => provider::retry_after(answer.headers()),
                Err(EgressError::Timeout | EgressError::ConnectionFailed(_)) => None,
                Ok(_) | Err(_) => return result,
            };
            let left = self.deadline.saturating_duration_since(Instant::now());
            let Some(pause) = retry::pause(spec, tries, asked, left, (self.way.dice)()) else {
                return result;
            };
            // Gives its socket and its place back before the pause.
            drop(result);
            self.exchange.waited(pause);
            sleep(pause).await;
            cleared = clear(&self.connection, &self.way.policy, copied.request(), &self.exchange)?;
        }
    }

    /// One try.
    async fn try_once(&self, pool: &Arc<Pool>, cleared: Cleared, with_credentials: bool) -> Answer {
        let leave = match pool.leave(&cleared.origin, self.deadline, &self.exchange).await {
            Ok(leave) => leave,
            Err(refused) => return Ok(refuse(refused.why, refused.wait, &self.exchange)),
        };
        let queued = Instant::now();
        let place = Arc::clone(&pool.places).acquire_owned().await;
        let place = place.map_err(|_| EgressError::Other("the host is stopping".into()))?;
        self.exchange.waited(queued.elapsed());
        let settings = &pool.settings;
        let request_bytes = self.body_bytes.min(settings.request_bytes);
        let Injected { request, needles, identity } = if with_credentials {
            Box::pin(self.way.injector.inject(&self.connection, cleared, request_bytes)).await?
        } else {
            Injected { request: cleared.request, needles: None, identity: None }
        };
        let matcher = needles.and_then(|needles| pool.matcher(&needles));
        let identified = identity.map(|identity| self.way.pools.with_identity(&self.connection, &identity));
        let client = &identified.as_ref().unwrap_or(pool).client;

        self.exchange.tried();
        let (deadline, exchange) = (self.deadline, self.exchange.clone());
        let request = request.map(|body| Outgoing::new(body, request_bytes, deadline, exchange.clone()));
        let first_byte =
            settings.first_byte.and_then(|it| Instant::now().checked_add(it)).unwrap_or(deadline);
        let sending = timeout_at(first_byte.min(deadline), client.request(request)); // second gate, in `dial`
        let response = match sending.await {
            Ok(sent) => sent.map_err(explain),
            Err(_) => Err(EgressError::Timeout),
        };
        leave.came_to(&response);
        let body_bytes = self.body_bytes.min(settings.answer_bytes);
        take_in(response?, Terms { deadline, idle: settings.idle, body_bytes, matcher, exchange, place })
    }
}

/// What an answer, or none, says of the health of an outside system.
pub(crate) fn health<B>(result: &Result<Response<B>, EgressError>) -> Health {
    match result {
        Ok(answer) if matches!(answer.status().as_u16(), 500 | 502 | 503 | 504) => Health::Failed,
        Ok(_) => Health::Well,
        Err(EgressError::Timeout | EgressError::ConnectionFailed(_)) => Health::Failed,
        Err(_) => Health::Unknown,
    }
}

/// What went wrong below the client. Looks for our own errors in the chain;
/// the others say what they say without quoting a header or a URL.
pub(crate) fn explain(error: legacy::Error) -> EgressError {
    let mut cause: &(dyn Error + 'static) = &error;
    loop {
        match cause.downcast_ref::<DialError>() {
            Some(denied @ DialError::Denied { .. }) => return EgressError::Denied(denied.to_string()),
            Some(failed) => return EgressError::ConnectionFailed(failed.to_string()),
            None => {}
        }
        if let Some(broken) = cause.downcast_ref::<Broken>() {
            return match broken {
                Broken::TooLarge(_) => EgressError::InvalidRequest(broken.to_string()),
                Broken::ByGuest(_) => EgressError::Other(broken.to_string()),
                Broken::Late => EgressError::Timeout,
            };
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    let what = if error.is_connect() { "no connection" } else { "the connection broke" };
    EgressError::ConnectionFailed(format!("{what}: {cause}"))
}
