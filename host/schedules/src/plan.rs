//! What is next for a schedule. A decision only: no clock, no store.

use chrono::TimeDelta;
use host_model::clock::Timestamp;
use host_model::resource::MisfirePolicy;

use crate::fires::Fires;

/// An instant is late, not missed, for this long: a host that restarts or is
/// busy is back within it, one that was switched off is not.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing until then.
    Sleep(Timestamp),
    /// Fire for this instant.
    Fire(Timestamp),
    /// Everything up to this instant was missed and is let go.
    Forget(Timestamp),
    /// No fire is left in the calendar.
    Never,
}

/// Decides. `handled` is the latest instant that is done; `fresh` says that
/// the schedule was taken up just now, so that nobody may have been there to
/// fire what is due.
pub(crate) fn plan(
    fires: &Fires,
    misfire: MisfirePolicy,
    handled: Timestamp,
    now: Timestamp,
    fresh: bool,
) -> Plan {
    let Some(oldest) = fires.next_after(handled) else { return Plan::Never };
    if oldest > now {
        return Plan::Sleep(oldest);
    }
    let missed = now - oldest > LATE;
    let latest = || fires.latest_in(handled, now).unwrap_or(oldest);
    match misfire {
        // Up and in step: each instant has its fire, in order.
        _ if !missed && !fresh => Plan::Fire(oldest),
        MisfirePolicy::Skip if missed => Plan::Forget(latest()),
        MisfirePolicy::Skip | MisfirePolicy::Once => Plan::Fire(latest()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use host_model::resource::{GapPolicy, OverlapPolicy};

    use super::*;
    use crate::crontab::Crontab;

    #[test]
    fn instants_that_passed_are_fired_in_order_once_or_not_at_all() {
        let crontab = Crontab::parse("*/10 * * * * *").unwrap();
        let fires = Fires::new(crontab, chrono_tz::UTC, GapPolicy::default(), OverlapPolicy::default());
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let check = |misfire, now, fresh, want| {
            let got = plan(&fires, misfire, at(0), at(now), fresh);
            assert_eq!(got, want, "{misfire:?} now={now} fresh={fresh}");
        };
        for misfire in [MisfirePolicy::Once, MisfirePolicy::Skip] {
            check(misfire, -5, true, Plan::Sleep(at(10)));
            check(misfire, 9, false, Plan::Sleep(at(10)));
            check(misfire, 40, false, Plan::Fire(at(10)));
            check(misfire, 40, true, Plan::Fire(at(40)));
        }
        check(MisfirePolicy::Once, 41, false, Plan::Fire(at(40)));
        check(MisfirePolicy::Once, 1_000_005, true, Plan::Fire(at(1_000_000)));
        check(MisfirePolicy::Skip, 41, false, Plan::Forget(at(40)));
        check(MisfirePolicy::Skip, 1_000_005, true, Plan::Forget(at(1_000_000)));
    }
}
