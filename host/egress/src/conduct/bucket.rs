//! A token bucket, as one instant: when the next request would be due if none
//! had ever come early (the "generic cell rate algorithm").
//!
//! A crate for rates decides whether a request may go now. Here a request may
//! also take a place in the future, if it can wait that long, and only then.

use std::time::Duration;

use host_model::resource::egress::Rate;
use tokio::time::Instant;

/// How far a bucket is used up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    due: Option<Instant>,
}

impl Bucket {
    /// Takes one request's place and says when it may go, if that is not
    /// after `latest`. Otherwise takes nothing and says when it could have gone.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant, latest: Instant) -> Result<Instant, Instant> {
        if rate.each.is_zero() {
            return Ok(now);
        }
        let credit = rate.each.saturating_mul(rate.burst.saturating_sub(1));
        let due = self.due.map_or(now, |due| due.max(now));
        let may_go = due.checked_sub(credit).map_or(now, |at| at.max(now));
        if may_go > latest {
            return Err(may_go);
        }
        self.due = Some(due.checked_add(rate.each).unwrap_or(due));
        Ok(may_go)
    }
}

/// `wait` in whole seconds, as `Retry-After` says it: never less than it takes.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_step() {
        let (rate, now) = (Rate { each: SECOND, burst: 3 }, Instant::now());
        let mut bucket = Bucket::default();
        let far = now + 60 * SECOND;
        let waits: Vec<_> = (0..5).map(|_| bucket.take(rate, now, far).unwrap() - now).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2].map(|s| SECOND * s));
        assert_eq!(bucket.take(rate, now, now), Err(now + 3 * SECOND), "too late for it");
        assert_eq!(bucket.take(rate, now, far), Ok(now + 3 * SECOND), "who was refused took nothing");
        let later = now + 60 * SECOND;
        assert_eq!(bucket.take(rate, later, later), Ok(later), "it fills up again");
    }

    proptest! {
        /// In no window do more go than the burst and what the window's length allows.
        #[test]
        fn no_window_lets_more_out_than_the_rate_and_one_burst(
            each_ms in 1_u64..500,
            burst in 1_u32..20,
            arrivals in proptest::collection::vec((0_u64..400, 0_u64..2_000), 1..80),
        ) {
            let rate = Rate { each: Duration::from_millis(each_ms), burst };
            let (mut bucket, mut now, mut gone) = (Bucket::default(), Instant::now(), Vec::new());
            for (pause, patience) in arrivals {
                now += Duration::from_millis(pause);
                let latest = now + Duration::from_millis(patience);
                match bucket.take(rate, now, latest) {
                    Ok(at) => { prop_assert!(now <= at && at <= latest); gone.push(at); }
                    Err(at) => prop_assert!(at > latest),
                }
            }
            gone.sort();
            for first in 0..gone.len() {
                for last in first..gone.len() {
                    let window = (gone[last] - gone[first]).as_millis() as u64;
                    let most = u64::from(burst) + window / each_ms;
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }
    }
}
