//! What happens again and again is told twice: when it begins, and how often
//! it was in all. So nobody fills the log with what costs them nothing.
//!
//! Invariants
//! - The first of a kind is durable before it is answered.
//! - What is counted in memory is for one window at most, and lost only in a crash.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_store::StoreError;

use crate::Audit;
use crate::act::{Act, Actor, Deed};
use crate::chain::Chain;
use crate::entry::Outcome;

/// For how long what is the same is counted and not written.
const WINDOW: TimeDelta = TimeDelta::minutes(10);
/// The most kinds that are counted at once, in all; more are counted together, by chain.
const MOST: usize = 10_000;

/// What is the same: who, doing what, to which thing, with what outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Same {
    chain: Chain,
    /// Who, doing what, to which thing; `None`: what found no place of its own.
    what: Option<(String, &'static str, String)>,
    outcome: Outcome,
}

/// How often it was after the first time.
#[derive(Debug)]
struct Count {
    act: Act,
    deed: Deed,
    since: Timestamp,
    more: u64,
}

/// What is being counted.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<HashMap<Same, Count>>);

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<Same, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts it if it was there lately. If not, begins to count; what was
    /// counted under it before is due.
    fn again(&self, same: &Same, begin: impl FnOnce() -> Count, now: Timestamp) -> Counted {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(same)
            && now - count.since < WINDOW
        {
            count.more += 1;
            return Counted::Again;
        }
        let before = counts.insert(same.clone(), begin());
        Counted::First(before.filter(|count| count.more > 0).map(Box::new))
    }
}

enum Counted {
    First(Option<Box<Count>>),
    Again,
}

impl Audit {
    /// Tells of something that may happen very often: a refusal, a call.
    pub async fn tell(&self, act: &Act, deed: Deed, outcome: Outcome) -> Result<(), StoreError> {
        let now = self.clock.now();
        let who = match &act.by {
            Actor::Token { id, .. } => id.to_string(),
            Actor::Person { subject, .. } => subject.clone(),
            Actor::Host | Actor::Nobody => String::new(),
        };
        // A name that was refused may be made up, and another one each time.
        let name = if outcome == Outcome::Done { deed.name.clone() } else { String::new() };
        let mut same = Same { chain: deed.chain.clone(), what: Some((who, act.operation, name)), outcome };
        let is_known = self.repeats.lock().contains_key(&same);
        let has_room = deed.chain.tenant().is_none_or(|tenant| self.budget.has_half(tenant, now));
        if !is_known && (!has_room || self.repeats.lock().len() >= MOST) {
            same.what = None;
        }
        let begin = || Count { act: act.again(), deed: deed.clone(), since: now, more: 0 };
        match self.repeats.again(&same, begin, now) {
            Counted::Again => {}
            Counted::First(due) => {
                let told = self.tell_first(act, deed, due, outcome).await;
                if told.is_err() {
                    // The next one is the first again.
                    self.repeats.lock().remove(&same);
                }
                told?;
            }
        }
        act.settle();
        Ok(())
    }

    async fn tell_first(
        &self,
        act: &Act,
        deed: Deed,
        due: Option<Box<Count>>,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        if let Some(due) = due {
            self.write_count(*due, outcome).await?;
        }
        self.record(act, deed, outcome).await
    }

    /// Writes how often it was, of everything whose window is over; of `all`, when the host stops.
    pub async fn write_counts(&self, all: bool) -> Result<(), StoreError> {
        let now = self.clock.now();
        let over: Vec<_> =
            self.repeats.lock().extract_if(|_, count| all || now - count.since >= WINDOW).collect();
        for (same, count) in over {
            if count.more > 0 {
                self.write_count(count, same.outcome).await?;
            }
        }
        Ok(())
    }

    async fn write_count(&self, count: Count, outcome: Outcome) -> Result<(), StoreError> {
        let Count { act, deed, since, more } = count;
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let deed = deed.detail(&format!("again, since {since}"));
        self.append(&act, deed, outcome, more).await
    }
}
