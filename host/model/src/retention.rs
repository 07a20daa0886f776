//! How long what a tenant's runs did is kept after their end.

use std::num::NonZeroU32;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::run::RunStatus;

/// Days that a run which succeeded is kept: somebody who asks about last
/// month's order finds it, and a million runs a month stay a few gigabytes.
pub const SUCCEEDED_DAYS: u32 = 30;
/// Days that any other run is kept: a quarter, so that what nobody repaired is
/// still there when the books are closed.
pub const OTHER_DAYS: u32 = 90;

/// `retention` of a tenant: days after a run's end, one at least. What is left
/// out is [`SUCCEEDED_DAYS`] and [`OTHER_DAYS`]. A run that has not ended is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RetentionSpec {
    /// Of runs that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded_days: Option<NonZeroU32>,
    /// Of runs that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_days: Option<NonZeroU32>,
    /// Of runs that diverged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverged_days: Option<NonZeroU32>,
    /// Of runs that were cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_days: Option<NonZeroU32>,
    /// Of runs that were terminated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated_days: Option<NonZeroU32>,
}

impl RetentionSpec {
    /// Whether nothing is said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// How long a run is kept that ended like this; `None` of one that has not ended.
    pub fn keeps(&self, status: RunStatus) -> Option<TimeDelta> {
        let (said, usual) = match status {
            RunStatus::Succeeded => (self.succeeded_days, SUCCEEDED_DAYS),
            RunStatus::Failed => (self.failed_days, OTHER_DAYS),
            RunStatus::Diverged => (self.diverged_days, OTHER_DAYS),
            RunStatus::Cancelled => (self.cancelled_days, OTHER_DAYS),
            RunStatus::Terminated => (self.terminated_days, OTHER_DAYS),
            RunStatus::Accepted | RunStatus::Waiting | RunStatus::Paused | RunStatus::Cancelling => {
                return None;
            }
        };
        Some(TimeDelta::days(said.map_or(usual, NonZeroU32::get).into()))
    }
}

#[test]
fn each_end_has_its_days_and_what_has_not_ended_is_kept() {
    let spec: RetentionSpec =
        serde_json::from_str(r#"{ "succeeded-days": 7, "cancelled-days": 400 }"#).unwrap();
    let days = RunStatus::ALL.map(|status| spec.keeps(status).map(|keep| keep.num_days()));
    let want = [None, None, None, None, Some(7), Some(90), Some(90), Some(400), Some(90)];
    assert_eq!(days, want);
    assert!(serde_json::from_str::<RetentionSpec>(r#"{ "failed-days": 0 }"#).is_err());
    assert!(serde_json::from_str::<RetentionSpec>(r#"{ "failed-dys": 1 }"#).is_err());
}
