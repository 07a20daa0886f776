use chrono::NaiveDate;
use croner::parser::{CronParser, Seconds};
use proptest::prelude::*;

use super::*;

/// The next times after the midnight that begins Thursday, 1 January 2026.
fn next(line: &str, count: usize) -> Vec<String> {
    let crontab = Crontab::parse(line).unwrap();
    let start = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
    let times = std::iter::successors(Some(start), |after| crontab.next_local(*after));
    times.skip(1).take(count).map(|time| time.format("%a %d %b %T").to_string()).collect()
}

#[test]
fn a_line_fires_when_crontab_says() {
    let check = |line, want: &[&str]| assert_eq!(next(line, want.len()), want, "{line}");
    check("30 4 * * *", &["Thu 01 Jan 04:30:00", "Fri 02 Jan 04:30:00"]);
    check("15 30 4 * * *", &["Thu 01 Jan 04:30:15", "Fri 02 Jan 04:30:15"]);
    check("00 09-17/04 * * *", &["Thu 01 Jan 09:00:00", "Thu 01 Jan 13:00:00", "Thu 01 Jan 17:00:00"]);
    check("  0\t0  * JAN,Mar-apr *", &["Fri 02 Jan 00:00:00"]);
    for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * SUN", "0 0 * * sun-sun", "@weekly"] {
        check(sunday, &["Sun 04 Jan 00:00:00", "Sun 11 Jan 00:00:00"]);
    }
    for weekend in ["0 0 * * 6,0", "0 0 * * 6-7", "0 0 * * sat-sun", "0 0 * * 6-7/1", "0 0 * * 7,sat"] {
        check(weekend, &["Sat 03 Jan 00:00:00", "Sun 04 Jan 00:00:00", "Sat 10 Jan 00:00:00"]);
    }
    check("0 0 * * 0-sun", &["Sun 04 Jan 00:00:00", "Sun 11 Jan 00:00:00"]);
    check("0 0 * * mon-5", &["Fri 02 Jan 00:00:00", "Mon 05 Jan 00:00:00"]);
    // Either day field, if both are restricted; a day that no month has is no obstacle then.
    check("0 0 13 * fri", &["Fri 02 Jan 00:00:00", "Fri 09 Jan 00:00:00", "Tue 13 Jan 00:00:00"]);
    check("0 0 31 2 mon", &["Mon 02 Feb 00:00:00", "Mon 09 Feb 00:00:00"]);
    check("0 0 29 2 *", &["Tue 29 Feb 00:00:00"]);
    check("@yearly", &["Fri 01 Jan 00:00:00"]);
    check("@annually", &["Fri 01 Jan 00:00:00"]);
    check("@monthly", &["Sun 01 Feb 00:00:00"]);
    check("@daily", &["Fri 02 Jan 00:00:00"]);
    check("@Midnight", &["Fri 02 Jan 00:00:00"]);
    check("@hourly", &["Thu 01 Jan 01:00:00", "Thu 01 Jan 02:00:00"]);
}

#[test]
fn a_refusal_names_the_field_and_what_it_takes() {
    let check = |line: &str, want: &str| {
        let error = Crontab::parse(line).expect_err(line).to_string();
        assert!(error.contains(want), "{line}: {error}");
    };
    check("", "has 0 fields: write five");
    check("* * * *", "has 4 fields");
    check("0 0 0 1 1 * 2026", "has 7 fields");
    check("@reboot", "`@reboot` is not a shorthand");
    check("@every 5m", "is not a shorthand");
    check("60 * * * *", "minute `60`: out of range; minute takes 0 to 59");
    check("60 * * * * *", "second `60`: out of range");
    check("0 24 * * *", "hour takes 0 to 23");
    check("0 0 0 * *", "day of month takes 1 to 31");
    check("0 0 * 13 *", "month takes 1 to 12 or jan to dec");
    check("0 0 * * 8", "weekday takes 0 to 7 (0 and 7 are Sunday) or sun to sat");
    check("0 0 * * 1,funday", "weekday `funday`: not a value");
    check("0 0 * * sunday", "weekday `sunday`: not a value");
    check("0 0 * mon *", "month `mon`: not a value");
    check("0 0 L * *", "day of month `L`: not a value");
    check("0 0 ? * *", "day of month `?`: not a value");
    check("0 22-2 * * *", "hour `22-2`: the range ends before it starts");
    check("0 0 * * fri-mon", "weekday `fri-mon`: the range ends before it starts");
    check("0 0 * * 5-0", "weekday `5-0`: the range ends before it starts");
    check("*/0 * * * *", "minute `*/0`: a step is at least 1");
    check("*/60 * * * *", "a step is at least 1 and no more");
    check("*/x * * * *", "the step is not a number");
    check("5/10 * * * *", "minute `5/10`: a step needs `*` or a range before it");
    check("1,,2 * * * *", "minute ``: a value is missing");
    check("1- * * * *", "a value is missing");
    check("+5 * * * *", "minute `+5`: not a value");
    check("-5 * * * *", "a value is missing");
    check("٥ * * * *", "not a value");
    check("5\0 * * * *", "not a value");
    check("99999999999999999999 * * * *", "not a value");
    check("0 0 31 2 *", "never fires");
    check("0 0 30 feb *", "never fires");
    check("0 0 31 4,6,9,11 *", "never fires");
    check(&format!("{}0 * * * *", "0,".repeat(124)), "at most 256 bytes, this one has 257");
}

/// A field's text: `*`, `*/n`, or a list of values, ranges and stepped ranges.
fn field(low: u32, high: u32, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value = move |value: u32, named: bool| match names.get((value - low) as usize) {
        Some(name) if named => (*name).to_owned(),
        _ => value.to_string(),
    };
    let item = (low..=high, low..=high, 1..=high, any::<[bool; 2]>()).prop_map(
        move |(one, other, step, [named, stepped])| {
            let (from, to) = (one.min(other), one.max(other));
            match (from == to, stepped) {
                (true, _) => value(from, named),
                (_, true) => format!("{}-{}/{step}", value(from, named), value(to, false)),
                // `0-sun` is one day here and seven there.
                _ => format!("{}-{}", value(from, false), value(to, named && from > 0)),
            }
        },
    );
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (1..=high).prop_map(|step| format!("*/{step}")),
        2 => (low..=high, any::<bool>()).prop_map(move |(one, named)| value(one, named)),
        3 => prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

const MONTHS: &[&str] = &["jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "Mon", "TUE", "wed", "thu", "fri", "sat", "sun"];

fn line() -> impl Strategy<Value = String> {
    let second = prop::option::of(field(0, 59, &[]));
    let fields = (
        second,
        field(0, 59, &[]),
        field(0, 23, &[]),
        field(1, 31, &[]),
        field(1, 12, MONTHS),
        field(0, 7, WEEKDAYS),
    );
    fields.prop_map(|(second, minute, hour, day, month, weekday)| {
        let five = format!("{minute} {hour} {day} {month} {weekday}");
        second.map(|second| format!("{second} {five}")).unwrap_or(five)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// croner follows crontab where the `cron` crate does not.
    #[test]
    fn a_line_fires_when_croner_says(line in line(), start in 1_577_836_800_i64..2_500_000_000) {
        let oracle = CronParser::builder().seconds(Seconds::Optional).build().parse(&line).unwrap();
        let mut after = DateTime::from_timestamp(start, 0).unwrap();
        let crontab = match Crontab::parse(&line) {
            Ok(crontab) => crontab,
            Err(CrontabError::Never(_)) => {
                prop_assert!(oracle.find_next_occurrence(&after, false).is_err(), "{line} does fire");
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(format!("{line}: {error}"))),
        };
        // Leap days come every four years, and the crate's calendar ends in 2100.
        for _ in 0..6 {
            let want = oracle.find_next_occurrence(&after, false).unwrap();
            prop_assert_eq!(crontab.next_local(after.naive_utc()), Some(want.naive_utc()), "{}", line);
            after = want;
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~]{0,40}|[0-9*/,a-z -]{0,60}") {
        let _ = Crontab::parse(&text);
    }
}
