//! Times as people write them.

use std::str::FromStr;

use jaq_json::Val;

use crate::render::text_of;

/// Parses `90s`, `5m`, `1h30m`, `3d`, `500ms` into milliseconds.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit_len = after.len() - after.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, after) = after.split_at(unit_len);
        let ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(ms)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// A value as a time span in milliseconds: a text as above, or a number of seconds.
pub fn span_ms(value: &Val) -> Option<u64> {
    match value {
        Val::Num(_) => whole_ms(value),
        Val::TStr(_) => parse_duration(&text_of(value).ok()?),
        _ => None,
    }
}

/// A value as an instant in milliseconds since 1970: an RFC 3339 text or a number of seconds.
pub fn instant_ms(value: &Val) -> Option<u64> {
    match value {
        Val::Num(_) => whole_ms(value),
        Val::TStr(_) => {
            let at = jiff::Timestamp::from_str(text_of(value).ok()?.trim()).ok()?;
            u64::try_from(at.as_millisecond()).ok()
        }
        _ => None,
    }
}

/// Seconds as milliseconds; none that is negative or beyond what JSON's numbers hold exactly.
fn whole_ms(seconds: &Val) -> Option<u64> {
    use jaq_std::ValT as _;
    let ms = seconds.as_f64()? * 1_000.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, and rounded")]
    (0.0..9e15).contains(&ms).then(|| ms.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let table = [
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("3d", 259_200_000),
            ("500ms", 500),
            ("1h 5s", 3_605_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["", "5", "m", "5 weeks", "-5s", "1.5h", "99999999999999999999s", "999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_a_date_with_a_zone_or_seconds() {
        let text = |text: &str| Val::from(text.to_owned());
        assert_eq!(instant_ms(&text("2026-01-01T00:00:00Z")), Some(1_767_225_600_000));
        assert_eq!(instant_ms(&text("2026-01-01T01:00:00+01:00")), Some(1_767_225_600_000));
        assert_eq!(instant_ms(&Val::from(1.5)), Some(1_500));
        assert_eq!(instant_ms(&text("tomorrow")), None);
        assert_eq!(instant_ms(&Val::from(-1.0)), None);
        assert_eq!(span_ms(&Val::from(2isize)), Some(2_000));
    }
}
