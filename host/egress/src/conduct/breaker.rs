//! The circuit breaker of one origin: closed, it lets everything out; after
//! too many failures in a row it is open, and after a while half open, when
//! a few probes find out whether the origin is back.
//!
//! A failure is: no connection, a connection that broke, no answer in time,
//! and the statuses 500, 502, 503 and 504. Any other answer is a success,
//! also 429 and other refusals: the system is there. What says nothing of the
//! system (a gate's refusal, a guest that gave up) counts as neither.

use host_model::resource::egress::BreakerSpec;
use std::time::Duration;
use tokio::time::Instant;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    /// Everything goes out; so many failures in a row so far.
    Closed { failures: u32 },
    /// Nothing goes out until then.
    Open { until: Instant },
    /// Probes go out: so many are under way, and so many came back well.
    HalfOpen { out: u32, well: u32 },
}

/// What a request came to, as far as a breaker is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Well,
    Failed,
    /// Neither: it says nothing of the outside system.
    Unknown,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Lets a request out: whether it is a probe; or when to come back.
    pub(crate) fn admit(&mut self, spec: &BreakerSpec, now: Instant) -> Result<bool, Duration> {
        match *self {
            Self::Closed { .. } => Ok(false),
            Self::Open { until } if now < until => Err(until - now),
            Self::Open { .. } => {
                *self = Self::HalfOpen { out: 1, well: 0 };
                Ok(true)
            }
            Self::HalfOpen { out, well } if out + well < spec.probes => {
                *self = Self::HalfOpen { out: out + 1, well };
                Ok(true)
            }
            // The probes are about to tell.
            Self::HalfOpen { .. } => Err(Duration::from_secs(1)),
        }
    }

    /// Takes in what became of a request that was let out.
    pub(crate) fn record(&mut self, spec: &BreakerSpec, probe: bool, health: Health, now: Instant) {
        let open = Self::Open { until: now + Duration::from_secs(spec.open_s.into()) };
        *self = match (*self, health) {
            (Self::Closed { failures }, Health::Failed) if failures + 1 >= spec.failures => open,
            (Self::Closed { failures }, Health::Failed) => Self::Closed { failures: failures + 1 },
            (Self::Closed { .. }, Health::Well) => Self::default(),
            (Self::HalfOpen { .. }, Health::Failed) if probe => open,
            (Self::HalfOpen { well, .. }, Health::Well) if probe && well + 1 >= spec.probes => {
                Self::default()
            }
            (Self::HalfOpen { out, well }, Health::Well) if probe => {
                Self::HalfOpen { out: out.saturating_sub(1), well: well + 1 }
            }
            (Self::HalfOpen { out, well }, Health::Unknown) if probe => {
                Self::HalfOpen { out: out.saturating_sub(1), well }
            }
            // Whoever went out before it opened says nothing new.
            (state, _) => state,
        };
    }

    /// One word for records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEC: BreakerSpec = BreakerSpec { failures: 2, open_s: 30, probes: 2 };
    const OPEN: Duration = Duration::from_secs(30);

    #[test]
    fn it_opens_after_failures_in_a_row_probes_and_closes_when_all_probes_are_well() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for health in [Health::Failed, Health::Well, Health::Failed, Health::Unknown] {
            assert_eq!(breaker.admit(&SPEC, now), Ok(false));
            breaker.record(&SPEC, false, health, now);
        }
        assert_eq!(breaker, Breaker::Closed { failures: 1 }, "a success in between starts anew");
        breaker.record(&SPEC, false, Health::Failed, now);
        assert_eq!(breaker.admit(&SPEC, now), Err(OPEN));
        assert_eq!(breaker.admit(&SPEC, now + OPEN / 2), Err(OPEN / 2));

        let later = now + OPEN;
        assert_eq!(breaker.admit(&SPEC, later), Ok(true));
        assert_eq!(breaker.admit(&SPEC, later), Ok(true));
        assert!(breaker.admit(&SPEC, later).is_err(), "two probes, no more");
        breaker.record(&SPEC, true, Health::Well, later);
        breaker.record(&SPEC, false, Health::Failed, later);
        assert!(breaker.admit(&SPEC, later).is_err(), "late news of old requests change nothing");
        breaker.record(&SPEC, true, Health::Well, later);
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_was_given_up_makes_room() {
        let (mut breaker, now) = (Breaker::Open { until: Instant::now() }, Instant::now() + OPEN);
        assert_eq!(breaker.admit(&SPEC, now), Ok(true));
        assert_eq!(breaker.admit(&SPEC, now), Ok(true));
        breaker.record(&SPEC, true, Health::Unknown, now);
        assert_eq!(breaker.admit(&SPEC, now), Ok(true));
        breaker.record(&SPEC, true, Health::Failed, now);
        assert_eq!(breaker.admit(&SPEC, now), Err(OPEN));
    }

    proptest! {
        /// However requests come and end, half open lets out no more than its
        /// probes at once, and it always comes to let something out again.
        #[test]
        fn half_open_never_lets_out_more_than_its_probes_and_nothing_is_stuck_for_ever(
            spec in (1_u32..5, 1_u32..60, 1_u32..5)
                .prop_map(|(failures, open_s, probes)| BreakerSpec { failures, open_s, probes }),
            steps in proptest::collection::vec((0_u64..20, 0_usize..4, 0_usize..9), 1..120),
        ) {
            let (mut breaker, mut now, mut out) = (Breaker::default(), Instant::now(), Vec::new());
            for (pause, what, which) in steps {
                now += Duration::from_secs(pause);
                match what {
                    0 => if let Ok(probe) = breaker.admit(&spec, now) { out.push(probe) },
                    _ if out.is_empty() => {}
                    _ => {
                        let probe = out.remove(which % out.len());
                        let health = [Health::Well, Health::Failed, Health::Unknown][what - 1];
                        breaker.record(&spec, probe, health, now);
                    }
                }
                if let Breaker::HalfOpen { out, well } = breaker {
                    prop_assert!(out + well <= spec.probes);
                }
            }
            for probe in out.drain(..) {
                breaker.record(&spec, probe, Health::Unknown, now);
            }
            prop_assert!(breaker.admit(&spec, now + Duration::from_secs(60)).is_ok());
        }
    }
}
