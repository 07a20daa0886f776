//! Reads that need not go out, or not once for each who asks: from what the
//! connection keeps, or together with an equal read that is under way.
//!
//! Equal means: the same connection, method, URL, headers, credential and
//! bound. Whoever gives up leaves the others their answer: it is asked for by
//! all of them together and stops when nobody is left.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use host_model::digest::Digest;
use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::answer::{AnswerBody, REFUSED, whole};
use crate::conduct::breaker::Health;
use crate::error::EgressError;
use crate::exchange::Source;
use crate::gate::{Cleared, clear};
use crate::journey::{Answer, Copied, Journey, health};
use crate::kept::{Keep, Known, is_plain_read};
use crate::pool::Pool;

/// The most who wait for one exchange: as many calls as a busy tenant has at
/// once. Further ones ask on their own.
const MAX_WAITERS: usize = 64;

type Whole = Result<(Response<Bytes>, Source), EgressError>;
type Asked = BoxFuture<'static, Whole>;

/// Reads of a connection that are under way, by what they ask.
#[derive(Clone, Default)]
pub(crate) struct UnderWay(Arc<Mutex<HashMap<Digest, Waited>>>);

/// A read, held by who waits for it, and how many do.
type Waited = (WeakShared<Asked>, usize);

/// Takes a read off the list when it is done, or when nobody waits any more.
struct Listed(UnderWay, Digest);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

impl UnderWay {
    /// The read under way that asks the same, or this one; and whether it is another's.
    fn join(&self, key: Digest, ask: impl FnOnce() -> Asked) -> (Shared<Asked>, bool) {
        let mut reads = self.0.lock();
        if let Some((read, waiters)) = reads.get_mut(&key)
            && let Some(read) = read.upgrade()
        {
            if *waiters >= MAX_WAITERS {
                // Unlocked first: should ours be the last hold on that read, it takes itself off the list.
                drop(reads);
                return (ask().shared(), false);
            }
            *waiters += 1;
            return (read, true);
        }
        let (listed, asked) = (Listed(self.clone(), key), ask());
        let read = async move {
            let _listed = listed;
            asked.await
        };
        let read = read.boxed().shared();
        if let Some(weak) = read.downgrade() {
            reads.insert(key, (weak, 1));
        }
        (read, false)
    }
}

impl Journey {
    /// A hop of a connection that keeps answers or lets reads share them.
    pub(crate) async fn read(&self, pool: &Arc<Pool>, cleared: Cleared, with_credentials: bool) -> Answer {
        let copied = Copied::of(&cleared).filter(|_| is_plain_read(&cleared.request) && is_empty(&cleared));
        let Some(copied) = copied else {
            let (url, safe) = (cleared.request.uri().to_string(), cleared.request.method().is_safe());
            let answer = self.tries(pool, cleared, with_credentials).await;
            if let (Some(keep), Ok(answer), false) = (&pool.keep, &answer, safe)
                && (answer.status().is_success() || answer.status().is_redirection())
            {
                keep.forget(&url); // RFC 9111, 4.4
            }
            return answer;
        };
        // Another credential sees other answers. Without its secret a connection has none.
        let credential = match with_credentials {
            true => self.way.injector.principal(&self.connection, &copied.origin).await?,
            false => None,
        };
        let read =
            Read { journey: self.clone(), pool: Arc::clone(pool), copied, credential, with_credentials };
        if !pool.settings.coalesce {
            return self.give(read.ask().await, None);
        }
        let key = read.key();
        let alone = read.clone();
        let (shared, others) = pool.under_way.join(key, || read.ask().boxed());
        let result = shared.await;
        // The other one's time was over; ours may not be.
        if others && matches!(result, Err(EgressError::Timeout)) && Instant::now() < self.deadline {
            return self.give(alone.ask().await, None);
        }
        self.give(result, others.then_some(Source::Shared))
    }

    fn give(&self, result: Whole, source: Option<Source>) -> Answer {
        let (answer, from) = result?;
        self.exchange.answered(answer.status());
        self.exchange.came_from(source.unwrap_or(from));
        Ok(whole(answer, &self.exchange))
    }
}

/// A read that others may wait for too, so it owns what it needs.
#[derive(Clone)]
struct Read {
    journey: Journey,
    pool: Arc<Pool>,
    copied: Copied,
    credential: Option<Digest>,
    with_credentials: bool,
}

impl Read {
    fn key(&self) -> Digest {
        let Copied { method, uri, headers, .. } = &self.copied;
        let mut text =
            format!("{method} {uri}\n{}\n{:?}\n", self.journey.body_bytes, self.credential).into_bytes();
        for (name, value) in headers {
            // Neither a name nor a value can hold a line end.
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
        Digest::of(&text)
    }

    /// From what is kept, or from the outside.
    async fn ask(self) -> Whole {
        let Some(keep) = &self.pool.keep else { return Ok((self.fetch(None).await?, Source::Outside)) };
        let request = self.head();
        match keep.known(&request, self.credential, Instant::now()) {
            Known::Fresh(answer) => Ok((answer, Source::Cache)),
            Known::Nothing => self.fetch_and_keep(keep, &request).await,
            Known::Stale(kept, headers) => {
                let result = self.fetch(Some(headers)).await;
                if health(&result) == Health::Failed || is_refused(&result) {
                    let stand_in = keep.stand_in(&kept, Instant::now());
                    return stand_in
                        .map_or(result.map(|it| (it, Source::Outside)), |it| Ok((it, Source::Stale)));
                }
                let now = Instant::now();
                match keep.take_in(&request, self.credential, Some(&kept), result?, now) {
                    Some((answer, true)) => Ok((answer, Source::Revalidated)),
                    Some((answer, false)) => Ok((answer, Source::Outside)),
                    None => self.fetch_and_keep(keep, &request).await,
                }
            }
        }
    }

    async fn fetch_and_keep(&self, keep: &Keep, request: &Request<()>) -> Whole {
        let answer = self.fetch(None).await?;
        if answer.headers().contains_key(REFUSED) {
            return Ok((answer, Source::Outside));
        }
        let now = Instant::now();
        let taken = keep.take_in(request, self.credential, None, answer.clone(), now);
        Ok((taken.map_or(answer, |(answer, _)| answer), Source::Outside))
    }

    /// From the outside, whole.
    async fn fetch(&self, headers: Option<http::HeaderMap>) -> Result<Response<Bytes>, EgressError> {
        let Journey { way, connection, exchange, .. } = &self.journey;
        let mut request = self.copied.request();
        if let Some(headers) = headers {
            *request.headers_mut() = headers;
        }
        let cleared = clear(connection, &way.policy, request, exchange)?;
        let answer = self.journey.tries(&self.pool, cleared, self.with_credentials).await?;
        let (head, body): (_, AnswerBody) = answer.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    fn head(&self) -> Request<()> {
        self.copied.request().map(|_| ())
    }
}

fn is_refused(result: &Result<Response<Bytes>, EgressError>) -> bool {
    result.as_ref().is_ok_and(|answer| answer.headers().contains_key(REFUSED))
}

fn is_empty(cleared: &Cleared) -> bool {
    http_body::Body::is_end_stream(cleared.request.body())
}
