//! What an outside system says of its own limits: `Retry-After` (RFC 9110,
//! 10.2.3), and the headers for the rest of a rate, in the spellings in use.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The longest that an outside system's word holds us up. A system that asks
/// for more is asked again after it; one that asks for years holds up nobody's setup.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(3600);
/// Numbers above it are instants since 1970 and not a number of seconds.
const INSTANTS: u64 = 1_000_000_000;

/// How long an answer asks us to wait before the next request, if it does.
pub(crate) fn pause(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let asked = if busy { retry_after(headers) } else { None };
    asked.or_else(|| spent(headers)).map(|pause| pause.min(MAX_PAUSE))
}

/// `Retry-After`, in seconds or as a date, which is read against the answer's own.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, "retry-after")?;
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(date(headers)?).ok(),
    }
}

/// Nothing left of the rate: the time until there is.
fn spent(headers: &HeaderMap) -> Option<Duration> {
    for prefix in ["ratelimit", "x-ratelimit", "x-rate-limit"] {
        let read = |what| text(headers, &format!("{prefix}-{what}"));
        if let (Some(left), Some(reset)) = (read("remaining"), read("reset")) {
            return if is_none_left(left) { until(reset, headers) } else { None };
        }
    }
    // `RateLimit: limit=10, remaining=0, reset=7` and `RateLimit: "default";r=0;t=7`.
    let fields = text(headers, "ratelimit")?.split([',', ';']).filter_map(|part| part.trim().split_once('='));
    let (mut left, mut reset) = (None, None);
    for (name, value) in fields {
        match name {
            "remaining" | "r" => left = Some(value),
            "reset" | "t" => reset = Some(value),
            _ => {}
        }
    }
    if is_none_left(left?) { until(reset?, headers) } else { None }
}

fn is_none_left(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|left| left < 1.0)
}

/// Seconds from now; or an instant, which is read against the answer's own date.
fn until(text: &str, headers: &HeaderMap) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let seconds = Duration::try_from_secs_f64(number).ok()?;
    if seconds.as_secs() < INSTANTS {
        return Some(seconds);
    }
    let now = date(headers)?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(seconds.saturating_sub(now))
}

/// The outside system's time: its clock and ours need not agree.
fn date(headers: &HeaderMap) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(text(headers, "date")?).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &str) -> HeaderMap {
        let pairs = lines.split('|').filter_map(|line| line.split_once(": "));
        pairs
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn every_way_to_ask_for_patience_is_heard() {
        let dated = "date: Sun, 06 Nov 1994 08:49:37 GMT";
        for (status, lines, want) in [
            (429, "retry-after: 7".to_owned(), Some(7)),
            (503, "retry-after: 7".into(), Some(7)),
            (429, format!("{dated}|retry-after: Sun, 06 Nov 1994 08:49:47 GMT"), Some(10)),
            (429, "retry-after: Sun, 06 Nov 1994 08:49:47 GMT".into(), None),
            (429, format!("{dated}|retry-after: Sun, 06 Nov 1994 08:49:07 GMT"), None),
            (200, "retry-after: 7".into(), None),
            (200, "x-ratelimit-remaining: 0|x-ratelimit-reset: 12".into(), Some(12)),
            (200, "x-ratelimit-remaining: 1|x-ratelimit-reset: 12".into(), None),
            (200, format!("{dated}|x-ratelimit-remaining: 0|x-ratelimit-reset: 784111787"), Some(3600)),
            (200, "ratelimit-remaining: 0|ratelimit-reset: 5".into(), Some(5)),
            (200, "x-rate-limit-remaining: 0|x-rate-limit-reset: 5".into(), Some(5)),
            (200, "ratelimit: limit=10, remaining=0, reset=9".into(), Some(9)),
            (200, "ratelimit: \"default\";r=0;t=9".into(), Some(9)),
            (200, "ratelimit: \"default\";r=3;t=9".into(), None),
            (429, "retry-after: 9999999999".into(), Some(3600)),
            (429, "retry-after: soon".into(), None),
            (429, "retry-after: -1".into(), None),
            (200, "x-ratelimit-remaining: 0|x-ratelimit-reset: -1".into(), None),
            (200, "x-ratelimit-remaining: 0|x-ratelimit-reset: nan".into(), None),
            (200, "x-ratelimit-remaining: 0|x-ratelimit-reset: 1e300".into(), None),
            (200, String::new(), None),
        ] {
            let pause = pause(StatusCode::from_u16(status).unwrap(), &headers(&lines));
            assert_eq!(pause.map(|pause| pause.as_secs()), want, "{status} {lines}");
        }
    }

    #[test]
    fn an_instant_is_read_against_the_answers_own_date() {
        let github =
            "date: Fri, 21 Nov 2025 12:00:00 GMT|x-ratelimit-remaining: 0|x-ratelimit-reset: 1763726430";
        assert_eq!(pause(StatusCode::FORBIDDEN, &headers(github)), Some(Duration::from_secs(30)));
    }

    proptest::proptest! {
        #[test]
        fn whatever_an_outside_system_says_it_holds_us_up_for_an_hour_at_most(
            status in 200_u16..600,
            lines in "(retry-after|ratelimit|x-ratelimit-reset|ratelimit-remaining): [ -{}~]{0,30}",
        ) {
            let asked = pause(StatusCode::from_u16(status).unwrap(), &headers(&lines));
            proptest::prop_assert!(asked.is_none_or(|asked| asked <= MAX_PAUSE));
        }
    }
}
