//! Whether a request is sent once more, and after what pause.

use std::time::Duration;

use host_model::resource::egress::RetrySpec;
use http::{HeaderMap, Method, StatusCode};

/// Whether repeating a request does no harm: by its method (RFC 9110, 9.2.2),
/// or because its server recognises a repetition by its key.
pub(crate) fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key("idempotency-key")
}

/// Whether an answer says that the same request may pass later.
pub(crate) fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause before try `tries + 1`: anything up to a bound that doubles, and
/// no less than what was asked for. `None`: no further try, or none in time.
pub(crate) fn pause(
    spec: &RetrySpec,
    tries: u32,
    asked: Option<Duration>,
    left: Duration,
    dice: u64,
) -> Option<Duration> {
    if tries >= spec.tries {
        return None;
    }
    let doubled = spec.pause_ms.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let most = doubled.clamp(1, spec.longest_pause_ms.max(1));
    let pause = Duration::from_millis(1 + dice % most).max(asked.unwrap_or_default());
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_be_repeated_is_idempotent_or_has_a_key() {
        let none = HeaderMap::new();
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            assert!(is_repeatable(&method, &none), "{method}");
        }
        let key = HeaderMap::from_iter([("idempotency-key".parse().unwrap(), "7".parse().unwrap())]);
        for method in [Method::POST, Method::PATCH, Method::from_bytes(b"MERGE").unwrap()] {
            assert!(!is_repeatable(&method, &none) && is_repeatable(&method, &key), "{method}");
        }
    }

    proptest! {
        #[test]
        fn pauses_stay_below_their_bound_above_what_was_asked_and_within_the_time_that_is_left(
            (tries, pause_ms, longest_pause_ms) in (2_u32..6, 1_u64..1_000, 1_000_u64..60_000),
            done in 1_u32..8,
            asked in proptest::option::of(0_u64..20_000),
            left in 0_u64..30_000,
            dice: u64,
        ) {
            let spec = RetrySpec { tries, pause_ms, longest_pause_ms };
            let (asked, left) = (asked.map(Duration::from_millis), Duration::from_millis(left));
            match pause(&spec, done, asked, left, dice) {
                Some(pause) => {
                    prop_assert!(done < tries && pause < left && pause >= asked.unwrap_or_default());
                    let bound = (pause_ms << (done - 1)).min(longest_pause_ms);
                    prop_assert!(pause <= Duration::from_millis(bound).max(asked.unwrap_or_default()));
                }
                None => prop_assert!(done >= tries || left <= asked.unwrap_or_default().max(Duration::from_millis(longest_pause_ms))),
            }
        }
    }
}
