//! When a crontab line fires in a zone whose clock jumps.
//!
//! A line whose hour is `*` or `*/n` means "every so often": it fires whenever
//! the local clock shows a time that it names, so the skipped hour has no
//! fires and the repeated hour has them twice. Any other line means times of
//! the day, and the policies say what happens to them: a skipped time fires at
//! the first instant after the gap (several of them once) or not at all, a
//! repeated time fires at its first instant or at both. This is what ISC cron
//! does, but for minutes: there `*/10 2 * * *` counts as "every so often".
//!
//! Invariants
//! - Fires are whole seconds, strictly increasing.
//! - Time is given, never taken; the work of one question is bounded.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{GapInfo, Tz};
use host_model::clock::Timestamp;
use host_model::resource::{GapPolicy, OverlapPolicy};

use crate::crontab::Crontab;

/// The `cron` crate looks from the second after the one it is given.
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// The instants of a crontab line in a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Fires {
    crontab: Crontab,
    zone: Tz,
    gap: GapPolicy,
    overlap: OverlapPolicy,
}

impl Fires {
    /// Fires of the line in the zone. The policies are for lines that name
    /// hours; see the head of this file.
    pub fn new(crontab: Crontab, zone: Tz, gap: GapPolicy, overlap: OverlapPolicy) -> Self {
        let (gap, overlap) = match crontab.any_hour() {
            true => (GapPolicy::Skip, OverlapPolicy::Twice),
            false => (gap, overlap),
        };
        Self { crontab, zone, gap, overlap }
    }

    /// The line.
    pub fn crontab(&self) -> &Crontab {
        &self.crontab
    }

    /// The zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first fire after `instant`. None if that is after the year 2100.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        let instant = instant.clamp(DateTime::UNIX_EPOCH, calendar_end()?);
        let local = self.local(instant);
        let mut after = local;
        if let LocalResult::Ambiguous(first, second) = self.zone.from_local_datetime(&local) {
            let (first, second) = (first.to_utc(), second.to_utc());
            let back = self.offset_change(first, second);
            let begin = self.local(back);
            let end = begin + (second - first);
            match self.overlap {
                // The second time round: all of it has had its fire.
                OverlapPolicy::Once if instant >= second => after = end - SECOND,
                // The first time round, nothing left of it: from the top again.
                OverlapPolicy::Twice if instant < second => {
                    let left = self.crontab.next_local(local).filter(|next| *next < end);
                    let again = self.crontab.next_local(begin - SECOND).filter(|next| *next < end);
                    if let (None, Some(again)) = (left, again) {
                        return Some(back + (again - begin));
                    }
                }
                _ => {}
            }
        }
        loop {
            let next = self.crontab.next_local(after)?;
            match self.zone.from_local_datetime(&next) {
                LocalResult::Single(only) => return Some(only.to_utc()),
                LocalResult::Ambiguous(first, _) if first > instant => return Some(first.to_utc()),
                LocalResult::Ambiguous(_, second) => return Some(second.to_utc()),
                LocalResult::None => {
                    let end = GapInfo::new(&next, &self.zone)?.end?;
                    match self.gap {
                        GapPolicy::RunAtFirstValid => return Some(end.to_utc()),
                        GapPolicy::Skip => after = end.naive_local() - SECOND,
                    }
                }
            }
        }
    }

    /// The latest fire after `after`, up to and including `until`. Halves the
    /// span until it is found: a year of seconds takes some thirty questions.
    pub fn latest_in(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let in_span = |after| self.next_after(after).filter(|fire| *fire <= until);
        let mut latest = in_span(after)?;
        // No fire is later than `high`.
        let mut high = until.timestamp();
        while latest.timestamp() < high {
            let middle = latest.timestamp() + (high - latest.timestamp()) / 2;
            match in_span(DateTime::from_timestamp(middle, 0)?) {
                Some(later) => latest = later,
                None => high = middle,
            }
        }
        Some(latest)
    }

    fn local(&self, instant: Timestamp) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    /// The first instant after `before` with the offset of `after`. There is
    /// one change between the two instants of a repeated local time.
    fn offset_change(&self, before: Timestamp, after: Timestamp) -> Timestamp {
        let offset = |seconds| {
            let instant = DateTime::from_timestamp(seconds, 0)?;
            Some(self.zone.offset_from_utc_datetime(&instant.naive_utc()).fix())
        };
        let (mut low, mut high) = (before.timestamp(), after.timestamp());
        let new = offset(high);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match offset(middle) == new {
                true => high = middle,
                false => low = middle,
            }
        }
        DateTime::from_timestamp(high, 0).unwrap_or(after)
    }
}

/// Past the calendar of the `cron` crate, far from where arithmetic overflows.
fn calendar_end() -> Option<Timestamp> {
    NaiveDate::from_ymd_opt(2101, 1, 2).map(|day| day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests;
