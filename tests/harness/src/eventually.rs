//! Waiting for what must come, without a say about when.

use std::time::{Duration, Instant};

/// Long enough for the slowest machine; what has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "it does not come: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
