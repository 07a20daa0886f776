//! One field of a crontab line: a set of numbers.

use std::fmt;

use super::CrontabError;

/// What a field is called and takes.
pub(super) struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    /// Names of the values from `low` on, three letters each.
    names: &'static [&'static str],
    allowed: &'static str,
}

pub(super) const SECOND: Field = number("second", 0, 59, "0 to 59");
pub(super) const MINUTE: Field = number("minute", 0, 59, "0 to 59");
pub(super) const HOUR: Field = number("hour", 0, 23, "0 to 23");
pub(super) const DAY: Field = number("day of month", 1, 31, "1 to 31");
pub(super) const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    allowed: "1 to 12 or jan to dec",
};
pub(super) const WEEKDAY: Field = Field {
    name: "weekday",
    low: 0,
    high: SUNDAY_AGAIN,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    allowed: "0 to 7 (0 and 7 are Sunday) or sun to sat",
};

/// Sunday is 0 and also 7, so that `5-7` and `fri-sun` need no wrapping.
const SUNDAY_AGAIN: u32 = 7;

const fn number(name: &'static str, low: u32, high: u32, allowed: &'static str) -> Field {
    Field { name, low, high, names: &[], allowed }
}

/// A set of numbers below 64, as bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Values(u64);

impl Field {
    /// Everything, as `*` says.
    pub(super) fn all(&self) -> Values {
        self.range(self.low, self.high, 1)
    }

    /// Reads `*`, numbers, names, ranges, steps and lists of these.
    pub(super) fn parse(&self, text: &str) -> Result<Values, CrontabError> {
        let mut all = 0;
        for part in text.split(',') {
            let Values(some) = self.parse_part(part).map_err(|why| CrontabError::Field {
                field: self.name,
                part: part.chars().take(80).collect(),
                why,
                allowed: self.allowed,
            })?;
            all |= some;
        }
        Ok(Values(all))
    }

    fn parse_part(&self, part: &str) -> Result<Values, &'static str> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(digits(step).ok_or("the step is not a number")?)),
            None => (part, None),
        };
        if step == Some(0) || step > Some(self.high) {
            return Err("a step is at least 1 and no more than the highest value");
        }
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (self.low, self.high),
            Some((low, high)) => {
                let (low, mut last) = (self.value(low)?, self.value(high)?);
                if high.eq_ignore_ascii_case("sun") && low > 0 {
                    last = SUNDAY_AGAIN;
                }
                (low, last)
            }
            None if step.is_some() => return Err("a step needs `*` or a range before it"),
            None => (self.value(range)?, self.value(range)?),
        };
        if low > high {
            return Err("the range ends before it starts; write it as two, with a comma");
        }
        Ok(self.range(low, high, step.unwrap_or(1)))
    }

    fn value(&self, text: &str) -> Result<u32, &'static str> {
        let named = self.names.iter().zip(self.low..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        match named.map(|(_, value)| value).or_else(|| digits(text)) {
            Some(value) if (self.low..=self.high).contains(&value) => Ok(value),
            Some(_) => Err("out of range"),
            None if text.is_empty() => Err("a value is missing"),
            None => Err("not a value"),
        }
    }

    fn range(&self, low: u32, high: u32, step: u32) -> Values {
        let weekday = self.high == SUNDAY_AGAIN;
        let bit = |value| 1 << if weekday && value == SUNDAY_AGAIN { 0 } else { value };
        let values = (low..=high).filter(|value| (value - low).is_multiple_of(step));
        Values(values.map(bit).fold(0, |all, one: u64| all | one))
    }
}

/// At most two, which is what every value fits into. (`parse` alone takes `+5`.)
fn digits(text: &str) -> Option<u32> {
    let plain = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl Values {
    /// The `cron` crate's Sunday is 1.
    pub(super) fn counted_from_one(self) -> Self {
        Self(self.0 << 1)
    }
}

/// A list of numbers, which the `cron` crate reads in each field.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for value in (0..u64::BITS).filter(|value| self.0 & (1 << value) != 0) {
            write!(f, "{comma}{value}")?;
            comma = ",";
        }
        Ok(())
    }
}
