//! How a connection stands with the outside systems that it asks: how much of
//! its rate is used up, who asked for patience, whose breaker is open.
//!
//! Takes a request that is about to go out; gives back leave to go, or why not
//! and when. The lock is never held across an await, and never taken by a
//! connection that set neither a rate nor a breaker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use host_model::grants::Origin;
use http::Response;
use tokio::time::{Instant, sleep_until};

use crate::conduct::breaker::{Breaker, Health};
use crate::conduct::bucket::Bucket;
use crate::conduct::provider;
use crate::error::EgressError;
use crate::exchange::{Exchange, Refusal};
use crate::journey::health;
use crate::pool::Pool;

/// The most origins that one connection is remembered with. Whoever reaches
/// more, below a wildcard, starts anew with the one not asked for longest.
const MAX_ORIGINS: usize = 64;

/// A connection's standing.
#[derive(Default)]
pub(crate) struct Standing {
    bucket: Bucket,
    origins: HashMap<Origin, With>,
}

/// A connection's standing with one origin.
struct With {
    breaker: Breaker,
    /// The origin asked for patience until then.
    not_before: Option<Instant>,
    used: Instant,
}

/// Why there is no leave to go, and how long until there may be.
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) wait: Duration,
}

/// Leave for one request to go out. Whoever holds it says what came of it, or
/// gives it up by dropping it.
#[must_use = "a breaker waits for what came of it"]
pub(crate) struct Leave {
    /// `None`: nobody counts.
    counted: Option<(Arc<Pool>, Origin)>,
    probe: bool,
}

impl Standing {
    fn with(&mut self, origin: &Origin, now: Instant) -> &mut With {
        if self.origins.len() >= MAX_ORIGINS && !self.origins.contains_key(origin) {
            let oldest =
                self.origins.iter().min_by_key(|(_, with)| with.used).map(|(origin, _)| origin.clone());
            oldest.and_then(|oldest| self.origins.remove(&oldest));
        }
        let fresh = || With { breaker: Breaker::default(), not_before: None, used: now };
        let with = self.origins.entry(origin.clone()).or_insert_with(fresh);
        with.used = now;
        with
    }
}

impl Pool {
    /// Waits until a request may go to this origin, if that is before the deadline.
    pub(crate) async fn leave(
        self: &Arc<Self>,
        origin: &Origin,
        deadline: Instant,
        exchange: &Exchange,
    ) -> Result<Leave, Refused> {
        if self.settings.rate.is_none() && self.settings.breaker.is_none() {
            return Ok(Leave { counted: None, probe: false });
        }
        self.turn(origin, deadline, exchange).await?;
        let mut probe = false;
        if let Some(spec) = &self.settings.breaker {
            let now = Instant::now();
            let mut standing = self.standing.lock();
            let breaker = &mut standing.with(origin, now).breaker;
            let admitted = breaker.admit(spec, now);
            exchange.breaker_is(breaker.name());
            probe = admitted.map_err(|wait| Refused { why: Refusal::Breaker, wait })?;
        }
        Ok(Leave { counted: Some((Arc::clone(self), origin.clone())), probe })
    }

    /// Waits for a turn: the connection's own rate first, then the patience
    /// that the origin asked for, which may grow meanwhile.
    async fn turn(&self, origin: &Origin, deadline: Instant, exchange: &Exchange) -> Result<(), Refused> {
        let Some(rate) = self.settings.rate else { return Ok(()) };
        let late = |at: Instant, now: Instant| Refused { why: Refusal::Rate, wait: at - now };
        let began = Instant::now();
        let mut may_go = {
            let mut standing = self.standing.lock();
            let asked = standing.with(origin, began).not_before.unwrap_or(began);
            if asked > deadline {
                return Err(late(asked, began));
            }
            standing.bucket.take(rate, began, deadline).map_err(|at| late(at, began))?.max(asked)
        };
        while may_go > Instant::now() {
            sleep_until(may_go).await;
            let now = Instant::now();
            may_go = self.standing.lock().with(origin, now).not_before.unwrap_or(now);
            if may_go > deadline {
                return Err(late(may_go, now));
            }
        }
        exchange.waited(began.elapsed());
        Ok(())
    }
}

impl Leave {
    /// What came of it.
    pub(crate) fn came_to<B>(mut self, result: &Result<Response<B>, EgressError>) {
        let asked = match result {
            Ok(answer) => provider::pause(answer.status(), answer.headers()),
            Err(_) => None,
        };
        self.record(health(result), asked);
    }

    /// What is known of its health, where the answer is no HTTP.
    pub(crate) fn found(mut self, health: Health) {
        self.record(health, None);
    }

    fn record(&mut self, health: Health, asked: Option<Duration>) {
        let Some((pool, origin)) = self.counted.take() else { return };
        let now = Instant::now();
        let mut standing = pool.standing.lock();
        let with = standing.with(&origin, now);
        if let Some(spec) = &pool.settings.breaker {
            with.breaker.record(spec, self.probe, health, now);
        }
        if let Some(until) = asked.and_then(|asked| now.checked_add(asked)) {
            with.not_before = with.not_before.max(Some(until));
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.record(Health::Unknown, None);
    }
}
