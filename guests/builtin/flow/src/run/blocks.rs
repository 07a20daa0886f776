//! Steps about failing: `try` and `retry`.

use host_flow::{Kind, Step, Val, What};

use super::{Run, Scope};
use crate::effects::{Effects, Tries};
use crate::failure::End;

impl<E: Effects> Run<'_, E> {
    /// `finally` is done however the others end, also if the run is stopped.
    /// What fails in it is told only if nothing else failed.
    pub(super) async fn attempt(
        &self,
        steps: &[Step],
        on: &[Kind],
        catch: Option<&[Step]>,
        finally: &[Step],
        scope: &mut Scope,
    ) -> Result<Val, End> {
        let mut ended = self.block(steps, scope).await;
        if let (Err(End::Failed(failure)), Some(catch)) = (&ended, catch)
            && (on.is_empty() || on.contains(&failure.kind))
        {
            let before = scope.put("error", Some(failure.value()));
            ended = self.block(catch, scope).await;
            scope.put("error", before);
        }
        let finishing = std::mem::replace(&mut scope.finishing, true);
        let finished = self.block(finally, scope).await;
        scope.finishing = finishing;
        match (ended, finished) {
            (_, Err(End::Stopped)) => Err(End::Stopped),
            (Ok(_), Err(end)) | (Err(end), _) => Err(end),
            (Ok(output), Ok(_)) => Ok(output),
        }
    }

    /// One call is never tried more often than its `retry` says: by the host,
    /// under one idempotency key, if it can, and otherwise only here. The calls
    /// among several steps are each tried by the host as all are.
    pub(super) async fn retry(&self, step: &Step, scope: &mut Scope) -> Result<Val, End> {
        let What::Retry { steps, times, wait_ms, at_most_ms, on } = &step.what else { return Ok(Val::Null) };
        let mut wait = (*wait_ms).min(*at_most_ms);
        let is_call = matches!(steps.as_slice(), [Step { what: What::Call { .. }, .. }]);
        let by_host = is_call && *times <= MOST_BY_HOST && is_what_hosts_retry(on);
        let tries =
            Tries { times: if by_host { *times } else { 1 }, first_ms: wait, longest_ms: *at_most_ms };
        let times = if by_host { 1 } else { *times };
        for tried in 1.. {
            scope.tries = is_call.then_some(tries);
            match self.block(steps, scope).await {
                Err(End::Failed(failure)) if tried < times && worth(on, failure.kind) => {
                    let pause = jittered(wait, self.tasks.effects.random());
                    // Earlier than the other side says would only be refused again.
                    let pause = pause.max(failure.retry_after_ms.unwrap_or(0));
                    self.pause(step, pause, scope).await?;
                    wait = wait.saturating_mul(2).min(*at_most_ms);
                }
                ended => return ended,
            }
        }
        Ok(Val::Null)
    }
}

/// The most tries of a call that the host makes; the contract's bound.
const MOST_BY_HOST: u32 = 20;

/// What the host tries again, and nothing else.
fn is_what_hosts_retry(on: &[Kind]) -> bool {
    let tried = [Kind::RateLimited, Kind::Retry];
    on.is_empty() || on.iter().all(|kind| tried.contains(kind)) && tried.iter().all(|kind| on.contains(kind))
}

/// Whether an error may be gone the next time.
fn worth(on: &[Kind], kind: Kind) -> bool {
    if on.is_empty() { matches!(kind, Kind::RateLimited | Kind::Retry) } else { on.contains(&kind) }
}

/// Between half of the pause and all of it, so that runs that failed together
/// do not try again together.
fn jittered(wait: u64, random: u64) -> u64 {
    let half = wait / 2;
    wait - half + random.checked_rem(half + 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_keeps_between_half_the_pause_and_all_of_it() {
        for (wait, random, want) in
            [(1_000, 0, 500), (1_000, 500, 1_000), (1_000, 501, 500), (1, 7, 1), (0, 7, 0)]
        {
            assert_eq!(jittered(wait, random), want);
        }
        assert!(jittered(u64::MAX, u64::MAX) > u64::MAX / 2);
    }
}
