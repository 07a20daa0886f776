//! The real clock: the one place that reads the system's time of day.

use std::time::Duration;

use host_model::clock::{Clock, Timestamp};
use host_model::effects::BoxFuture;

/// The longest single sleep: the time of day may be set while we wait, and a
/// timer does not notice.
const NAP: Duration = Duration::from_secs(30);

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the Clock that everybody else asks")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    fn sleep_until(&self, until: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while let Ok(left) = (until - self.now()).to_std()
                && !left.is_zero()
            {
                tokio::time::sleep(left.min(NAP)).await;
            }
        })
    }
}
