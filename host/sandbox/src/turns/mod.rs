//! Turns on the CPU, shared between tenants by weight.
//!
//! A call runs where it stands, on a thread that serves sockets, and most end
//! there; for a tenant that has the host for itself that costs a look at one
//! number. A call that goes on for long moves into the pool, whose threads take
//! turns in the order of [`shares`] and make way for those that serve sockets.
//! So does every call of a tenant with calls up for a turn, beyond its share, or
//! with a heavy call just now, as long as others compete.
//!
//! Invariants
//! - Nobody waits while a thread of the pool is idle, but for the moment in which
//!   the thread that it made way on looks for the next turn.
//! - What is counted is CPU time: fuel counts neither a page that is touched
//!   for the first time nor what the host does for a guest.
//! - A call that is dropped is over by its next turn at the latest.

mod pool;
mod shares;
#[cfg(test)]
mod tests;
mod way;

use std::collections::HashMap;
use std::future::poll_fn;
use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use host_model::name::TenantId;
use host_model::outcome::Finished;

use crate::CallFailed;
use pool::{Asks, Pool};

/// How long a call may take in all where it stands, its first turn apart: one
/// or two more turns of a spinning guest, for which the other requests of its
/// core wait. Shorter ones are not worth another thread's wake.
const LONG: Duration = Duration::from_micros(100);
/// A call that took the CPU for so long in all says something about the next:
/// its first turn may be a long one, too, and one that touches 64 MiB takes 20 ms.
const HEAVY: Duration = Duration::from_millis(2);
/// How long the calls of a tenant that had a heavy one start in the pool.
const BARRED: Duration = Duration::from_secs(1);

/// Gives out turns.
pub(crate) struct Turns {
    pool: Arc<Pool>,
}

/// Where a call stands after it was polled.
enum Went<T> {
    Over(T),
    /// It is to go on in the pool.
    Long,
}

impl Turns {
    /// Turns on this many threads, which start when the first long call comes.
    pub(crate) fn new(threads: NonZeroUsize) -> Self {
        Self { pool: Arc::new(Pool::new(threads)) }
    }

    /// What part of the CPU each tenant gets when they compete.
    pub(crate) fn weigh(&self, weights: HashMap<TenantId, NonZeroU32>) {
        let weights = weights.into_iter().map(|(tenant, weight)| (tenant.as_str().into(), weight));
        self.pool.weigh(weights.collect());
    }

    /// Runs a tenant's call to its end, in as many turns as it takes. Without a
    /// tenant: an upload that is being looked at. The call may move to another
    /// thread; boxed by whoever made it, its kilobytes are moved once, not at
    /// each step down to here.
    pub(crate) async fn run<F, T>(
        &self,
        tenant: Option<&TenantId>,
        mut call: Pin<Box<F>>,
    ) -> Result<Finished<T>, CallFailed>
    where
        F: Future<Output = Result<Finished<T>, CallFailed>> + Send + 'static,
        T: Send + 'static,
    {
        let asks = Asks::new(tenant.map_or("", TenantId::as_str));
        let mut here = None;
        let went = poll_fn(|context| {
            if !self.pool.is_alone(asks) && !self.pool.may_run_here(asks) {
                return Poll::Ready(Went::Long);
            }
            // Most end in their first turn: for that alone nobody reads the clock.
            let began = here.map(|_| Instant::now());
            match call.as_mut().poll(context) {
                Poll::Ready(over) => Poll::Ready(Went::Over(over)),
                Poll::Pending => {
                    let here = here.get_or_insert(Duration::ZERO);
                    *here += began.map_or(Duration::ZERO, |began| began.elapsed());
                    if *here < LONG { Poll::Pending } else { Poll::Ready(Went::Long) }
                }
            }
        });
        let over = match went.await {
            Went::Over(over) => {
                if !self.pool.is_alone(asks) {
                    self.pool.charge(asks, guest_time(&over));
                }
                over
            }
            Went::Long => {
                let before = here.unwrap_or_default();
                Arc::clone(&self.pool).finish(asks, before, call).await
            }
        };
        if guest_time(&over) > HEAVY {
            self.pool.bar(asks, BARRED);
        }
        over
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.pool.close();
    }
}

fn guest_time<T>(over: &Result<Finished<T>, CallFailed>) -> Duration {
    over.as_ref().map_or(Duration::ZERO, |over| over.usage.guest())
}
