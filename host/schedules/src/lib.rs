//! Schedules: when to run a workflow, and exactly one run for each instant.
//!
//! Takes [`Schedule`]s, resolved from what tenants wrote, and hands each fire
//! to a [`Fire`] together with the part of a commit that makes it the only one.
//!
//! Invariants
//! - One fire per schedule and instant, for any number of hosts and restarts.
//! - An instant is done when its fire is durable; until then it is tried again.
//! - Nothing here reads the system clock or the machine's time zone.

pub mod crontab;
mod cursor;
pub mod fires;
mod keeper;
mod plan;
pub mod schedule;
pub mod scheduler;

pub use crontab::{Crontab, CrontabError};
pub use cursor::cursor_key;
pub use fires::Fires;
pub use schedule::{Schedule, ScheduleError};
pub use scheduler::{Fire, FireError, Fired, ScheduleSet, Scheduler};
