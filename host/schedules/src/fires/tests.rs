use std::collections::BTreeSet;

use chrono::Days;
use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin};

use super::*;

const POLICIES: [(GapPolicy, OverlapPolicy); 4] = [
    (GapPolicy::RunAtFirstValid, OverlapPolicy::Once),
    (GapPolicy::Skip, OverlapPolicy::Once),
    (GapPolicy::RunAtFirstValid, OverlapPolicy::Twice),
    (GapPolicy::Skip, OverlapPolicy::Twice),
];

/// The Sundays of 2026 on which each zone's clock is put on and back.
const CHANGES: [(Tz, &str, &str); 3] = [
    (Berlin, "2026-03-29", "2026-10-25"),    // 02:00 is 03:00; 03:00 is 02:00
    (New_York, "2026-03-08", "2026-11-01"),  // 02:00 is 03:00; 02:00 is 01:00
    (Lord_Howe, "2026-10-04", "2026-04-05"), // 02:00 is 02:30; 02:00 is 01:30
];

fn fires(line: &str, zone: Tz, gap: GapPolicy, overlap: OverlapPolicy) -> Fires {
    Fires::new(Crontab::parse(line).unwrap(), zone, gap, overlap)
}

/// The instants of a local day, from its midnight up to the next.
fn day(zone: Tz, date: &str) -> (Timestamp, Timestamp) {
    let date: NaiveDate = date.parse().unwrap();
    let midnight = |date: NaiveDate| {
        let local = date.and_time(NaiveTime::MIN);
        zone.from_local_datetime(&local).single().unwrap().to_utc()
    };
    (midnight(date), midnight(date + Days::new(1)))
}

/// The day's fires, as the clock on the wall shows them.
fn on(fires: &Fires, date: &str) -> String {
    let (begin, end) = day(fires.zone, date);
    let all = std::iter::successors(fires.next_after(begin - SECOND), |last| fires.next_after(*last));
    let shown = |fire: Timestamp| fire.with_timezone(&fires.zone).format("%H:%M%:z").to_string();
    all.take_while(|fire| *fire < end).map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_time_that_spring_skips_fires_after_the_gap_or_not_at_all() {
    let check = |zone, line, run: &str, skip: &str| {
        let (_, date, _) = CHANGES.iter().find(|(known, ..)| *known == zone).unwrap();
        let day = |gap| on(&fires(line, zone, gap, OverlapPolicy::Once), date);
        assert_eq!(day(GapPolicy::RunAtFirstValid), run, "{line} in {zone}");
        assert_eq!(day(GapPolicy::Skip), skip, "{line} in {zone}, skip");
    };
    check(Berlin, "30 2 * * *", "03:00+02:00", "");
    check(Berlin, "0 2 * * *", "03:00+02:00", "");
    check(Berlin, "59 1 * * *", "01:59+01:00", "01:59+01:00");
    check(Berlin, "0 3 * * *", "03:00+02:00", "03:00+02:00");
    check(New_York, "30 2 * * *", "03:00-04:00", "");
    check(Lord_Howe, "0 2 * * *", "02:30+11:00", "");
    check(Lord_Howe, "30 2 * * *", "02:30+11:00", "02:30+11:00");
    // Several skipped times, and one at the gap's end, are one fire.
    check(Berlin, "*/10 2 * * *", "03:00+02:00", "");
    check(Berlin, "0,30 2,3 * * *", "03:00+02:00 03:30+02:00", "03:00+02:00 03:30+02:00");
    check(New_York, "45 1-3 * * *", "01:45-05:00 03:00-04:00 03:45-04:00", "01:45-05:00 03:45-04:00");
    check(
        Lord_Howe,
        "15,45 1-2 * * *",
        "01:15+10:30 01:45+10:30 02:30+11:00 02:45+11:00",
        "01:15+10:30 01:45+10:30 02:45+11:00",
    );
    // "Every so often" goes on as the clock does: nothing extra.
    let hourly = |line, zone, want: &str| {
        for (gap, overlap) in POLICIES {
            let (_, date, _) = CHANGES.iter().find(|(known, ..)| *known == zone).unwrap();
            let all = on(&fires(line, zone, gap, overlap), date);
            assert!(all.starts_with(want), "{line} in {zone}: {all}");
        }
    };
    hourly("0 * * * *", Berlin, "00:00+01:00 01:00+01:00 03:00+02:00 04:00+02:00");
    hourly(
        "*/30 * * * *",
        New_York,
        "00:00-05:00 00:30-05:00 01:00-05:00 01:30-05:00 03:00-04:00 03:30-04:00",
    );
    hourly("15 * * * *", Lord_Howe, "00:15+10:30 01:15+10:30 03:15+11:00");
    hourly("0 */2 * * *", Berlin, "00:00+01:00 04:00+02:00");
}

#[test]
fn a_time_that_autumn_repeats_fires_once_or_twice() {
    let check = |zone, line, once: &str, twice: &str| {
        let (.., date) = CHANGES.iter().find(|(known, ..)| *known == zone).unwrap();
        let day = |overlap| on(&fires(line, zone, GapPolicy::default(), overlap), date);
        assert_eq!(day(OverlapPolicy::Once), once, "{line} in {zone}");
        assert_eq!(day(OverlapPolicy::Twice), twice, "{line} in {zone}, twice");
    };
    check(Berlin, "30 2 * * *", "02:30+02:00", "02:30+02:00 02:30+01:00");
    check(Berlin, "0 2 * * *", "02:00+02:00", "02:00+02:00 02:00+01:00");
    check(Berlin, "0 3 * * *", "03:00+01:00", "03:00+01:00");
    check(New_York, "30 1 * * *", "01:30-04:00", "01:30-04:00 01:30-05:00");
    check(New_York, "0 2 * * *", "02:00-05:00", "02:00-05:00");
    check(Lord_Howe, "45 1 * * *", "01:45+11:00", "01:45+11:00 01:45+10:30");
    check(Lord_Howe, "15 1 * * *", "01:15+11:00", "01:15+11:00");
    check(
        Berlin,
        "*/30 2,3 * * *",
        "02:00+02:00 02:30+02:00 03:00+01:00 03:30+01:00",
        "02:00+02:00 02:30+02:00 02:00+01:00 02:30+01:00 03:00+01:00 03:30+01:00",
    );
    // "Every so often" goes on through both.
    let hourly = |line, zone, want: &str| {
        for (gap, overlap) in POLICIES {
            let (.., date) = CHANGES.iter().find(|(known, ..)| *known == zone).unwrap();
            let all = on(&fires(line, zone, gap, overlap), date);
            assert!(all.starts_with(want), "{line} in {zone}: {all}");
        }
    };
    hourly("0 * * * *", Berlin, "00:00+02:00 01:00+02:00 02:00+02:00 02:00+01:00 03:00+01:00");
    hourly(
        "*/30 * * * *",
        New_York,
        "00:00-04:00 00:30-04:00 01:00-04:00 01:30-04:00 01:00-05:00 01:30-05:00 02:00-05:00",
    );
    hourly(
        "*/15 * * * *",
        Lord_Howe,
        "00:00+11:00 00:15+11:00 00:30+11:00 00:45+11:00 01:00+11:00 01:15+11:00 01:30+11:00 01:45+11:00 01:30+10:30 01:45+10:30 02:00+10:30",
    );
    hourly("40 */1 * * *", Lord_Howe, "00:40+11:00 01:40+11:00 01:40+10:30 02:40+10:30");
}

/// Asks the definition, minute by minute.
fn by_definition(fires: &Fires, begin: Timestamp, end: Timestamp) -> BTreeSet<Timestamp> {
    let named = |local: NaiveDateTime| fires.crontab.next_local(local - SECOND) == Some(local);
    let minute = TimeDelta::minutes(1);
    let instants = std::iter::successors(Some(begin), |last| Some(*last + minute)).take_while(|at| *at < end);
    instants
        .filter(|at| {
            let local = fires.local(*at);
            let second_time = match fires.zone.from_local_datetime(&local) {
                LocalResult::Ambiguous(_, second) => second.to_utc() == *at,
                _ => false,
            };
            let skipped_before = std::iter::successors(Some(local - minute), |last| Some(*last - minute))
                .take_while(|earlier| fires.zone.from_local_datetime(earlier) == LocalResult::None)
                .any(named);
            named(local) && !(second_time && fires.overlap == OverlapPolicy::Once)
                || skipped_before && fires.gap == GapPolicy::RunAtFirstValid
        })
        .collect()
}

#[test]
fn from_any_instant_the_next_and_the_latest_fire_are_those_of_the_definition() {
    let lines = [
        "30 2 * * *",
        "*/7 1-3 * * *",
        "*/20 * * * *",
        "50 */2 * * *",
        "5 1,2 * * *",
        "0 0 * * sun",
        "15 2 1-7 * *",
    ];
    for (zone, spring, autumn) in CHANGES {
        for (date, line) in [spring, autumn].into_iter().flat_map(|date| lines.map(|line| (date, line))) {
            for (gap, overlap) in POLICIES {
                let fires = fires(line, zone, gap, overlap);
                let (begin, _) = day(zone, date);
                let end = begin + TimeDelta::hours(6);
                let want = by_definition(&fires, begin, end);
                let half_past = |minutes: i64| begin + TimeDelta::seconds(minutes * 60 + 30);
                for at in (0..355)
                    .step_by(3)
                    .flat_map(|minutes| [half_past(minutes), half_past(minutes) + SECOND * 30])
                {
                    let (next, latest) =
                        (want.range(at + SECOND..).next(), want.range(begin..=at).next_back());
                    let got = fires.next_after(at).filter(|next| *next < end);
                    assert_eq!(
                        got.as_ref(),
                        next,
                        "next of {line} in {zone} after {at}, {gap:?} {overlap:?}"
                    );
                    let got = fires.latest_in(begin - SECOND, at);
                    assert_eq!(
                        got.as_ref(),
                        latest,
                        "latest of {line} in {zone} up to {at}, {gap:?} {overlap:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_year_of_seconds_is_looked_through_at_once() {
    let every_second = fires("* * * * * *", Berlin, GapPolicy::default(), OverlapPolicy::default());
    let (begin, _) = day(Berlin, "2025-06-01");
    let (until, _) = day(Berlin, "2026-06-01");
    assert_eq!(every_second.latest_in(begin, until), Some(until));
    let leap_day = fires("0 0 29 2 *", Berlin, GapPolicy::default(), OverlapPolicy::default());
    assert_eq!(leap_day.latest_in(begin, until), None);
    assert_eq!(leap_day.latest_in(DateTime::UNIX_EPOCH, until), Some(day(Berlin, "2024-02-29").0));
}

#[test]
fn the_ends_of_time_are_no_trap() {
    let daily = fires("0 0 * * *", chrono_tz::UTC, GapPolicy::default(), OverlapPolicy::default());
    assert_eq!(daily.next_after(DateTime::<chrono::Utc>::MAX_UTC), None);
    assert!(daily.next_after(DateTime::<chrono::Utc>::MIN_UTC).is_some());
    let last = NaiveDate::from_ymd_opt(2100, 12, 31).unwrap().and_time(NaiveTime::MIN).and_utc();
    assert_eq!(daily.latest_in(DateTime::UNIX_EPOCH, DateTime::<chrono::Utc>::MAX_UTC), Some(last));
}
