//! How often a source may show a token that is none.
//!
//! Invariants
//! - Who showed too many waits, and costs no look into the store meanwhile.
//! - One source's failures are never another's.
//! - The table is bounded: past its bound the sources that failed longest ago
//!   are forgotten first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::Timestamp;

/// Failures in a row before a source must wait: a person's typing mistakes and
/// a program that was not told of a rotation yet, far too few to guess with.
pub(crate) const BURST: i32 = 20;
/// How long until one more is allowed.
pub(crate) const REGAIN: TimeDelta = TimeDelta::seconds(6);
/// Sources in each of two generations: some MB in all.
const MOST: usize = 20_000;

/// Who fails: an address, or the network that one IPv6 customer has all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    V4(Ipv4Addr),
    V6([u16; 4]),
    Unknown,
}

impl Source {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(address)) => Self::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The sources that failed lately: for each, when all is forgiven.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Source, Timestamp>,
    old: HashMap<Source, Timestamp>,
}

impl Generations {
    fn forgiven(&self, source: Source) -> Option<Timestamp> {
        self.young.get(&source).or_else(|| self.old.get(&source)).copied()
    }
}

impl Failures {
    /// How long this source has to wait, if it has.
    pub(crate) fn wait(&self, from: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        let forgiven = self.lock().forgiven(Source::of(from))?;
        // A clock that was set back locks nobody out for longer than the burst.
        let ahead = (forgiven - now).min(REGAIN * BURST);
        (ahead - REGAIN * (BURST - 1)).to_std().ok().filter(|wait| !wait.is_zero())
    }

    /// Counts a failure. `true` if from now on the source has to wait.
    pub(crate) fn count(&self, from: Option<IpAddr>, now: Timestamp) -> bool {
        let source = Source::of(from);
        {
            let mut sources = self.lock();
            let forgiven = sources.forgiven(source).map_or(now, |then| then.clamp(now, now + REGAIN * BURST));
            if sources.young.len() >= MOST {
                sources.old = std::mem::take(&mut sources.young);
            }
            sources.young.insert(source, forgiven + REGAIN);
        }
        self.wait(from, now).is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn who_failed_too_often_waits_and_regains_one_try_at_a_time() {
        let (failures, who) = (Failures::default(), from("203.0.113.9"));
        for _ in 1..BURST {
            assert!(!failures.count(who, NOW));
        }
        assert_eq!(failures.wait(who, NOW), None);
        assert!(failures.count(who, NOW));
        let wait = failures.wait(who, NOW).unwrap();
        assert_eq!(TimeDelta::from_std(wait).unwrap(), REGAIN);
        assert_eq!(failures.wait(who, NOW + REGAIN), None);
        assert!(failures.count(who, NOW + REGAIN), "one more, not twenty");
        assert_eq!(failures.wait(who, NOW + REGAIN * (BURST + 1)), None);
        assert!(!failures.count(who, NOW + REGAIN * (BURST + 1)), "all is forgiven");
        assert_eq!(failures.wait(from("203.0.113.10"), NOW), None, "a neighbour never failed");
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_mapped_address_is_its_own() {
        let failures = Failures::default();
        for place in 0..BURST {
            failures.count(from(&format!("2001:db8::{place:x}")), NOW);
            failures.count(from("::ffff:203.0.113.9"), NOW);
        }
        assert!(failures.wait(from("2001:db8::ffff"), NOW).is_some());
        assert!(failures.wait(from("2001:db8:0:1::1"), NOW).is_none());
        assert!(failures.wait(from("203.0.113.9"), NOW).is_some());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest_first() {
        let failures = Failures::default();
        let at = |number: usize| Some(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap())));
        for number in 0..MOST * 4 {
            failures.count(at(number), NOW);
        }
        let sources = failures.lock();
        assert!(sources.young.len() <= MOST && sources.old.len() <= MOST);
        assert!(sources.forgiven(Source::of(at(0))).is_none());
        assert!(sources.forgiven(Source::of(at(MOST * 4 - 1))).is_some());
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_long() {
        let (failures, who) = (Failures::default(), from("203.0.113.9"));
        failures.count(who, NOW + TimeDelta::days(365));
        assert!(failures.wait(who, NOW).unwrap() <= REGAIN.to_std().unwrap());
        failures.count(who, NOW);
        assert!(failures.wait(who, NOW + REGAIN * 2).is_none());
    }
}
