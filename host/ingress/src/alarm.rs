//! One timer a connection, for all the time limits of its requests.
//!
//! Nearly every limit is met: a timer of its own for each would be set and
//! taken back twice a request, under a lock that all workers share. So a
//! connection keeps one. It stays set to the earliest limit that anybody
//! waited for; a later one waits for it to ring and only then sets it again,
//! once a limit's length instead of once a request.
//!
//! Whatever waits on one alarm must be polled by one task: it wakes one.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A connection's timer. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Alarm {
    /// The outcome of `work`, or `None` if it takes longer than `time` from
    /// the moment at which it first has to wait.
    pub(crate) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut deadline = None;
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + time);
                self.poll(deadline, context).map(|()| None)
            }
        })
        .await
    }

    /// Ready once `deadline` is over.
    fn poll(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if deadline <= timer.deadline() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline); // it rang for an earlier limit, which was met
        }
        Poll::Pending
    }
}

/// For the time that a request's head may take, which hyper measures.
impl hyper::rt::Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Limit { alarm: self.clone(), deadline: Instant::now() + duration })
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Limit { alarm: self.clone(), deadline: deadline.into() })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

struct Limit {
    alarm: Alarm,
    deadline: Instant,
}

impl hyper::rt::Sleep for Limit {}

impl Future for Limit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(self.deadline, context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn every_limit_ends_at_its_own_time_however_the_alarm_stands() {
        let alarm = Alarm::default();
        for (time, met) in [(10, true), (30, false), (60, true), (1, false), (30, false), (300, false)] {
            let (start, time) = (Instant::now(), Duration::from_secs(time));
            if met {
                assert_eq!(alarm.within(time, sleep(time / 2)).await, Some(()));
                assert_eq!(start.elapsed().as_secs(), time.as_secs() / 2);
            } else {
                assert_eq!(alarm.within(time, pending::<()>()).await, None);
                assert_eq!(start.elapsed().as_secs(), time.as_secs());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_run_beside_each_other_end_each_at_its_own_time() {
        let alarm = Alarm::default();
        let start = Instant::now();
        let limit = async |seconds| {
            assert_eq!(alarm.within(Duration::from_secs(seconds), pending::<()>()).await, None);
            assert_eq!(start.elapsed().as_secs(), seconds);
        };
        tokio::join!(limit(20), limit(10), limit(30));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_need_not_wait_sets_no_timer() {
        let alarm = Alarm::default();
        assert_eq!(alarm.within(LIMIT, async { 1 }).await, Some(1));
        assert!(alarm.0.lock().unwrap().is_none());
    }
}
