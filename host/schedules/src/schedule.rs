//! A schedule as used: resolved once from what the tenant wrote.

use chrono_tz::Tz;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::name::{ScheduleName, TenantId, WorkflowName};
use host_model::resource::{MisfirePolicy, ScheduleSpec};
use host_model::suggest::nearest;
use serde_json::Value;

use crate::crontab::{Crontab, CrontabError};
use crate::fires::Fires;

/// The longest zone for which a likely one is looked up; the longest there is has 30 bytes.
const MAX_ZONE_HINT: usize = 64;

/// A schedule, as used.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: ScheduleName,
    /// When it fires.
    pub fires: Fires,
    /// What happens to instants that were missed.
    pub misfire: MisfirePolicy,
    /// What to run.
    pub workflow: WorkflowName,
    /// The data of the message that it runs for.
    pub input: Value,
    /// It does not fire, and what passes meanwhile is never made up for.
    pub paused: bool,
    /// What the cursor was counted by: a schedule edited in any of this starts anew.
    pub(crate) rule: String,
}

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its `cron` is not a crontab line.
    #[error("schedule `{name}`, cron: {why}")]
    Cron {
        /// The schedule.
        name: ScheduleName,
        /// What is wrong with the line.
        why: CrontabError,
    },
    /// Its `zone` is not in the IANA database.
    #[error("schedule `{name}`: `{zone}` is not a time zone{}; write an IANA name such as `Europe/Berlin`", hint(.near))]
    Zone {
        /// The schedule.
        name: ScheduleName,
        /// What was written, cut to 80 characters.
        zone: String,
        /// The nearest zone.
        near: Option<&'static str>,
    },
}

fn hint(near: &Option<&'static str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

impl Schedule {
    /// Reads the line and the zone of what the tenant wrote.
    pub fn resolve(tenant: TenantId, spec: ScheduleSpec) -> Result<Self, ScheduleError> {
        let name = spec.name;
        let crontab = match Crontab::parse(&spec.cron) {
            Ok(crontab) => crontab,
            Err(why) => return Err(ScheduleError::Cron { name, why }),
        };
        let Ok(zone) = spec.zone.parse::<Tz>() else {
            let near = near_zone(&spec.zone);
            return Err(ScheduleError::Zone { name, zone: spec.zone.chars().take(80).collect(), near });
        };
        let rule = format!(
            "{crontab} | {zone} | gap {:?} | overlap {:?} | paused {}",
            spec.gap, spec.overlap_hour, spec.paused
        );
        let fires = Fires::new(crontab, zone, spec.gap, spec.overlap_hour);
        let ScheduleSpec { misfire, workflow, input, paused, .. } = spec;
        Ok(Self { tenant, name, fires, misfire, workflow, input, paused, rule })
    }

    /// The fire's id: the same on every host, and in no other tenant. The
    /// run that it starts takes it as its idempotency key.
    pub fn fire_id(&self, scheduled: Timestamp) -> Digest {
        // A name has no NUL, so no two fires share a text.
        Digest::of(format!("{}\0{}\0{}", self.tenant, self.name, scheduled.timestamp()).as_bytes())
    }
}

/// The zone that was meant, if only the city was written too.
fn near_zone(text: &str) -> Option<&'static str> {
    if text.len() > MAX_ZONE_HINT {
        return None;
    }
    let zones = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let same = |word: &str| word.eq_ignore_ascii_case(&text.trim().replace(' ', "_"));
    zones().find(|zone| same(zone) || same(city(zone))).or_else(|| nearest(text, zones()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolve(name: &str, cron: &str, zone: &str) -> Result<Schedule, ScheduleError> {
        let spec = json!({ "name": name, "cron": cron, "zone": zone, "workflow": "report" });
        Schedule::resolve("acme".parse().unwrap(), serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_cannot_be_used_is_named_with_what_was_meant() {
        let check = |cron, zone, want: &str| {
            let error = resolve("nightly", cron, zone).unwrap_err().to_string();
            assert!(error.contains("`nightly`") && error.contains(want), "{error}");
        };
        check("0 25 * * *", "UTC", "hour `25`");
        check("0 2 * * *", "Europe/Berln", "did you mean `Europe/Berlin`?");
        check("0 2 * * *", "europe/berlin", "did you mean `Europe/Berlin`?");
        check("0 2 * * *", "new york", "did you mean `America/New_York`?");
        check("0 2 * * *", "", "write an IANA name");
        check("0 2 * * *", &"x".repeat(100_000), "write an IANA name");
    }

    #[test]
    fn a_fire_id_is_of_one_tenant_schedule_and_instant() {
        let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let schedule = resolve("nightly", "0 2 * * *", "UTC").unwrap();
        let edited = Schedule { input: json!(1), ..resolve("nightly", "0 3 * * *", "UTC").unwrap() };
        let foreign = Schedule { tenant: "other".parse().unwrap(), ..schedule.clone() };
        let renamed = resolve("weekly", "0 2 * * *", "UTC").unwrap();
        assert_eq!(schedule.fire_id(at(60)), edited.fire_id(at(60)));
        for other in [schedule.fire_id(at(61)), foreign.fire_id(at(60)), renamed.fire_id(at(60))] {
            assert_ne!(schedule.fire_id(at(60)), other);
        }
    }
}
