//! What the operator may set about runs, and the tokens that end them.

use std::sync::Arc;
use std::time::Duration;

use host_model::clock::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the operator may set about runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many runs may be in memory at once, going on or about to. The
    /// others wait in the store. A thousand keep two cores busy with calls that wait.
    pub max_in_memory: usize,
    /// Between attempts at a run after a failure of the host or the store. Ten
    /// tries are a minute and a half, long enough for a passing failure; then
    /// the run waits for the next start.
    pub runs: Backoff,
    /// Between attempts at one call after a failure of the host.
    pub calls: Backoff,
    /// How long an idempotency key is remembered. At least 24 hours.
    pub keep_keys: Duration,
    /// No other process uses the store, as with the embedded engine: what
    /// earlier ones had is free at once. Otherwise each holds a lease.
    pub exclusive: bool,
    /// How long a process that does not renew its lease keeps its runs. It
    /// renews three times as often; a stall of the host or the store that is
    /// shorter costs nothing.
    pub lease: Duration,
    /// Where the outside reaches this host, without a slash at its end: the
    /// addresses of events start with it.
    pub public_url: Arc<str>,
}

impl Default for Settings {
    fn default() -> Self {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(30));
        Self {
            max_in_memory: 1_000,
            runs: Backoff { tries: 10, first, longest },
            calls: Backoff { tries: 4, first, longest },
            keep_keys: Duration::from_secs(24 * 60 * 60),
            exclusive: true,
            lease: Duration::from_secs(15),
            public_url: "http://127.0.0.1:7070".into(),
        }
    }
}

/// Trying again: each pause is twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How often it is tried in all.
    pub tries: u32,
    /// The first pause.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The pause before this try, counted from 0; nothing before the first.
    pub(crate) fn before(&self, attempt: u32) -> Duration {
        match attempt {
            0 => Duration::ZERO,
            _ => self
                .first
                .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX))
                .min(self.longest),
        }
    }
}

/// Where what goes on is done, and how the host ends it.
#[derive(Clone)]
pub(crate) struct Stops {
    /// The host's own runtime, whose threads share their work: a run takes long,
    /// and must not stay on the core of the request that started it.
    runtime: Handle,
    /// Nothing new is begun; what only waits is parked.
    pub(crate) drain: CancellationToken,
    /// What still goes on is cut.
    pub(crate) now: CancellationToken,
    /// All that goes on: a drain is over when it is.
    pub(crate) tasks: TaskTracker,
}

impl Stops {
    /// On the runtime that this is called in.
    pub(crate) fn here() -> Self {
        Self {
            runtime: Handle::current(),
            drain: CancellationToken::new(),
            now: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Does it in the background, until it is done or cut.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let now = self.now.clone();
        self.tasks.spawn_on(async move { now.run_until_cancelled(task).await }, &self.runtime);
    }

    /// Pauses; `false` if the host is stopping.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        // A pause between attempts is no time of day: tokio's timer.
        self.drain.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// Waits for an instant of the clock; `false` if the host is stopping.
    pub(crate) async fn pause_until(&self, clock: &dyn Clock, until: Timestamp) -> bool {
        self.drain.run_until_cancelled(clock.sleep_until(until)).await.is_some()
    }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let backoff = Backoff { tries: 9, first: Duration::from_secs(1), longest: Duration::from_secs(5) };
    let pauses: Vec<_> = (0..5).map(|attempt| backoff.before(attempt).as_secs()).collect();
    assert_eq!(pauses, [0, 1, 2, 4, 5]);
    assert_eq!(backoff.before(99).as_secs(), 5);
}
