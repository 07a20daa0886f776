//! What waits for somebody to come back: taken once, in time, and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::digest::Digest;

use crate::tokens::failures::Source;

/// The most of one address: as many people as may try at once behind it. Its own oldest gives way.
const MAX_OF_SOURCE: usize = 100;

/// Values by a secret of which only the hash is kept.
pub(super) struct Waiting<T> {
    most: usize,
    life: TimeDelta,
    all: Mutex<HashMap<Digest, Kept<T>>>,
}

struct Kept<T> {
    until: Timestamp,
    from: Source,
    value: T,
}

impl<T> Waiting<T> {
    /// At most so many, each for so long.
    pub(super) fn new(most: usize, life: TimeDelta) -> Self {
        Self { most, life, all: Mutex::default() }
    }

    /// Keeps one for whoever shows this secret in time.
    pub(super) fn put(&self, secret: &str, from: Option<IpAddr>, value: T, now: Timestamp) {
        let (until, from) = (now + self.life, Source::of(from));
        let mut all = self.lock();
        // Also what is too far ahead, after the clock was set back.
        all.retain(|_, kept| now < kept.until && kept.until <= until);
        let theirs = all.values().filter(|kept| kept.from == from).count();
        let only = (theirs >= MAX_OF_SOURCE).then_some(from);
        if only.is_some() || all.len() >= self.most {
            let candidates = all.iter().filter(|(_, kept)| only.is_none_or(|only| kept.from == only));
            let oldest = candidates.min_by_key(|(_, kept)| kept.until).map(|(key, _)| *key);
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(Digest::of(secret.as_bytes()), Kept { until, from, value });
    }

    /// The one of this secret, if it is there in time; it is not there again.
    pub(super) fn take(&self, secret: &str, now: Timestamp) -> Option<T> {
        let kept = self.lock().remove(&Digest::of(secret.as_bytes()))?;
        (now < kept.until).then_some(kept.value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const LIFE: TimeDelta = TimeDelta::minutes(10);

    fn from(number: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(number.into()))
    }

    #[test]
    fn what_waits_is_taken_once_and_in_time() {
        let waiting = Waiting::new(10, LIFE);
        waiting.put("a", None, 1, NOW);
        waiting.put("b", None, 2, NOW);
        assert_eq!(waiting.take("a", NOW), Some(1));
        assert_eq!(waiting.take("a", NOW), None);
        assert_eq!(waiting.take("b", NOW + LIFE), None);
        assert_eq!(waiting.take("c", NOW), None);
    }

    #[test]
    fn who_begins_very_often_loses_their_own_and_nobody_elses() {
        let waiting = Waiting::new(1_000, LIFE);
        waiting.put("mine", from(1), 0, NOW);
        for number in 0..MAX_OF_SOURCE * 20 {
            let later = NOW + TimeDelta::milliseconds(i64::try_from(number).unwrap());
            waiting.put(&number.to_string(), from(2), number, later);
        }
        assert_eq!(waiting.lock().len(), MAX_OF_SOURCE + 1);
        assert_eq!(waiting.take("0", NOW), None, "their oldest gave way");
        assert_eq!(waiting.take("mine", NOW), Some(0));
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let waiting = Waiting::new(50, LIFE);
        for number in 0..200 {
            waiting.put(&number.to_string(), from(number), number, NOW + TimeDelta::seconds(number.into()));
        }
        assert_eq!(waiting.lock().len(), 50);
        assert_eq!(waiting.take("199", NOW), Some(199));
    }
}
