//! When a crontab line fires, in local time without a zone.
//!
//! The `cron` crate does the calendar; crontab's own rules are put in front of
//! it, because the crate reads lines its own way: it wants seconds, counts
//! weekdays from 1, and demands both day fields where crontab takes either.

mod field;

use std::fmt;

use chrono::{DateTime, NaiveDateTime};

use field::{DAY, HOUR, MINUTE, MONTH, SECOND, Values, WEEKDAY};

/// The most bytes of a line: a list of all sixty minutes, and then some.
pub const MAX_CRONTAB: usize = 256;

/// The shorthands, and the five fields that each stands for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A line that says when something fires: five crontab fields, six with
/// seconds first, or a shorthand such as `@daily`.
///
/// If day of month and weekday are both something other than `*`, a day that
/// fits either fires, as in every crontab.
#[derive(Clone, Debug, PartialEq)]
pub struct Crontab {
    text: Box<str>,
    /// All fields; without the weekday if `by_weekday` has it.
    by_date: cron::Schedule,
    /// All fields but the day of month, if either of the two may fit.
    by_weekday: Option<cron::Schedule>,
    any_hour: bool,
}

/// Why a line is not a crontab line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrontabError {
    /// Over the limit.
    #[error("a cron line has at most {MAX_CRONTAB} bytes, this one has {0}")]
    TooLong(usize),
    /// Neither five nor six fields.
    #[error(
        "`{text}` has {got} fields: write five (minute, hour, day of month, month, weekday), six with seconds first, or a shorthand such as `@daily`"
    )]
    Fields {
        /// The line.
        text: String,
        /// How many fields it has.
        got: usize,
    },
    /// An unknown word after `@`.
    #[error(
        "`{0}` is not a shorthand: use @yearly, @annually, @monthly, @weekly, @daily, @midnight or @hourly"
    )]
    Shorthand(String),
    /// A field that says what it must not.
    #[error(
        "{field} `{part}`: {why}; {field} takes {allowed}, ranges `a-b`, lists `a,b` and steps `*/n` or `a-b/n`"
    )]
    Field {
        /// Which field.
        field: &'static str,
        /// The part of it that is wrong, cut to 80 characters.
        part: String,
        /// What is wrong.
        why: &'static str,
        /// The values it takes.
        allowed: &'static str,
    },
    /// No date fits.
    #[error("`{0}` never fires: no month that it names has such a day")]
    Never(String),
}

impl Crontab {
    /// Reads a line.
    pub fn parse(text: &str) -> Result<Self, CrontabError> {
        let text = text.trim();
        if text.len() > MAX_CRONTAB {
            return Err(CrontabError::TooLong(text.len()));
        }
        let fields = match SHORTHANDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            Some((_, fields)) => fields,
            None if text.starts_with('@') => return Err(CrontabError::Shorthand(text.to_owned())),
            None => text,
        };
        let parts: Vec<&str> = fields.split_ascii_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match parts[..] {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => return Err(CrontabError::Fields { text: text.to_owned(), got: parts.len() }),
        };
        let time = [SECOND.parse(second)?, MINUTE.parse(minute)?, HOUR.parse(hour)?];
        let (day_of_month, months) = (DAY.parse(day)?, MONTH.parse(month)?);
        let day_of_week = WEEKDAY.parse(weekday)?;

        let either = day != "*" && weekday != "*";
        let by_date = schedule(time, day_of_month, months, if either { WEEKDAY.all() } else { day_of_week });
        let by_weekday = either.then(|| schedule(time, DAY.all(), months, day_of_week));
        let crontab = Self { text: text.into(), by_date, by_weekday, any_hour: hour.starts_with('*') };
        match crontab.next_local(DateTime::UNIX_EPOCH.naive_utc()) {
            Some(_) => Ok(crontab),
            None => Err(CrontabError::Never(text.to_owned())),
        }
    }

    /// The first local time after `after` that the line names. None after the
    /// year 2100, where the calendar of the `cron` crate ends.
    pub fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        // The crate knows no local time without a zone; UTC has no gaps to trip over.
        let first = |schedule: &cron::Schedule| schedule.after(&after.and_utc()).next();
        let by_weekday = self.by_weekday.as_ref().and_then(first);
        let next = first(&self.by_date).into_iter().chain(by_weekday).min()?;
        Some(next.naive_utc())
    }

    /// Whether the hour is `*` or `*/n`: then the line means "every so often",
    /// else it means times of the day.
    pub fn any_hour(&self) -> bool {
        self.any_hour
    }

    /// The line as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The same in the crate's words.
#[expect(clippy::expect_used, reason = "each field is a list of numbers in the crate's own range")]
fn schedule(time: [Values; 3], day: Values, month: Values, weekday: Values) -> cron::Schedule {
    let [second, minute, hour] = time;
    let weekday = weekday.counted_from_one();
    format!("{second} {minute} {hour} {day} {month} {weekday}").parse().expect("lists of numbers in range")
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
