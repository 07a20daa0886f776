//! Keeps one schedule: waits for its instants and sees each fire through.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::{Clock, Timestamp};
use host_store::key::Key;
use host_store::{Store, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cursor::{self, Cursor, Found, Mark};
use crate::plan::{Plan, plan};
use crate::schedule::Schedule;
use crate::scheduler::{Fire, FireError, Fired};

/// The first pause after a failure; it doubles each time.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest pause: what failed for an hour is back a minute after its cause is gone.
const RETRY_MOST: Duration = Duration::from_secs(60);
/// A cursor this far ahead is worth a line in the log: the clock went back, or was wrong.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// One schedule and what keeping it takes.
pub(crate) struct Keeper {
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) key: Key,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fire: Arc<dyn Fire>,
    /// For how many fires there is room, all schedules together.
    pub(crate) places: Arc<Semaphore>,
    /// Asked between steps; a fire under way is never cut.
    pub(crate) stop: CancellationToken,
}

/// Asked to stop, or nothing left to do.
struct Stopped;

/// What is to be done with an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Fire,
    Forget,
}

/// What a look at the store after a fire says.
enum Look {
    /// The instant is done; go on from here.
    Done(Mark),
    /// It is not; try again from here.
    Undone(Mark),
}

impl Keeper {
    /// Keeps the schedule until it changes, goes, or the host stops.
    pub(crate) async fn keep(self) {
        let Err(Stopped) = self.keep_on().await;
    }

    async fn keep_on(&self) -> Result<std::convert::Infallible, Stopped> {
        let mut mark = self.take_up().await?;
        if self.schedule.paused {
            return Err(Stopped);
        }
        let mut fresh = true;
        while !self.stop.is_cancelled() {
            let Schedule { fires, misfire, .. } = &*self.schedule;
            match plan(fires, *misfire, mark.cursor.handled, self.clock.now(), fresh) {
                Plan::Sleep(until) => self.sleep_until(until).await?,
                Plan::Fire(at) => mark = self.see_through(at, mark, Task::Fire).await?,
                // This host was away; another may have been there.
                Plan::Forget(at) => match self.look(at, &mark, false).await {
                    Ok(Look::Done(found) | Look::Undone(found)) if found.version != mark.version => {
                        mark = found
                    }
                    _ => {
                        self.warn(&format!("missed its fires up to {at}: they are skipped, as it says"));
                        mark = self.see_through(at, mark, Task::Forget).await?;
                    }
                },
                Plan::Never => return Err(Stopped),
            }
            fresh = false;
        }
        Err(Stopped)
    }

    /// Finds where the schedule stands. One that is new, or counted by another
    /// rule till now (a pause included), begins now.
    async fn take_up(&self) -> Result<Mark, Stopped> {
        let mut pause = RETRY_FIRST;
        loop {
            let now = self.clock.now();
            let begin = Cursor { handled: now, rule: self.schedule.rule.clone() };
            let found = cursor::read(&*self.store, &self.key).await;
            let over = match found {
                Ok(Found::Mark(mark)) if mark.cursor.rule == begin.rule => {
                    if mark.cursor.handled > now + AHEAD {
                        self.warn(&format!(
                            "is done up to {}, which is ahead of the clock: it fires after that (pause and resume it to begin now)",
                            mark.cursor.handled
                        ));
                    }
                    return Ok(mark);
                }
                Ok(Found::Nothing) => None,
                Ok(Found::Mark(mark)) => Some(mark.version),
                Ok(Found::Damaged(version)) => {
                    self.warn("has an unreadable cursor: it begins now, and what it missed is lost");
                    Some(version)
                }
                Err(error) => {
                    self.wait_out(&mut pause, &error).await?;
                    continue;
                }
            };
            match self.store.commit(begin.replacing(&self.key, over)).await {
                Ok(version) => return Ok(Mark { cursor: begin, version }),
                Err(StoreError::Conflict) => {}
                Err(error) => self.wait_out(&mut pause, &error).await?,
            }
        }
    }

    /// Fires for `at`, or forgets it, until the cursor says that it is done:
    /// by this host or by another.
    async fn see_through(&self, at: Timestamp, mut mark: Mark, task: Task) -> Result<Mark, Stopped> {
        let mut pause = RETRY_FIRST;
        // Whether all that is left is to move the cursor.
        let mut over = task == Task::Forget;
        loop {
            let mut problem = None;
            if !over {
                match self.attempt(at, &mark).await? {
                    Ok(Fired::Accepted | Fired::Already) => over = true,
                    Err(FireError::Refused(why)) => {
                        self.warn(&format!("gives up its fire of {at}: {why}"));
                        over = true;
                    }
                    Err(error) => problem = Some(error.to_string()),
                }
            }
            match self.look(at, &mark, over).await {
                Ok(Look::Done(mark)) => return Ok(mark),
                Ok(Look::Undone(now)) => mark = now,
                Err(error) => problem = Some(error.to_string()),
            }
            let problem = problem.unwrap_or_else(|| "its cursor was moved meanwhile".to_owned());
            self.wait_out(&mut pause, &format!("its fire of {at} is not done: {problem}")).await?;
        }
    }

    async fn attempt(&self, at: Timestamp, mark: &Mark) -> Result<Result<Fired, FireError>, Stopped> {
        let moved = Cursor { handled: at, rule: mark.cursor.rule.clone() };
        let commit = moved.replacing(&self.key, Some(mark.version));
        let place = self.stop.run_until_cancelled(self.places.acquire()).await;
        let (Some(Ok(_place)), false) = (place, self.stop.is_cancelled()) else { return Err(Stopped) };
        Ok(self.fire.fire(&self.schedule, at, commit).await)
    }

    /// What the store says after an attempt. If `over` and the cursor did not
    /// move along, it is moved here.
    async fn look(&self, at: Timestamp, mark: &Mark, over: bool) -> Result<Look, StoreError> {
        let (handled, version) = match cursor::read(&*self.store, &self.key).await? {
            // Another host counts by another rule, older or newer: wait until
            // it or the set that this one keeps has changed.
            Found::Mark(found) if found.cursor.rule != self.schedule.rule => {
                return Ok(Look::Undone(mark.clone()));
            }
            Found::Mark(found) if found.cursor.handled >= at => return Ok(Look::Done(found)),
            Found::Mark(found) if !over => return Ok(Look::Undone(found)),
            Found::Mark(found) => (at, Some(found.version)),
            Found::Damaged(version) => (if over { at } else { mark.cursor.handled }, Some(version)),
            Found::Nothing => (if over { at } else { mark.cursor.handled }, None),
        };
        // A schedule that is gone must not leave a cursor behind.
        if self.stop.is_cancelled() {
            return Ok(Look::Undone(mark.clone()));
        }
        let cursor = Cursor { handled, rule: self.schedule.rule.clone() };
        match self.store.commit(cursor.replacing(&self.key, version)).await {
            Ok(version) if over => Ok(Look::Done(Mark { cursor, version })),
            Ok(version) => Ok(Look::Undone(Mark { cursor, version })),
            Err(StoreError::Conflict) => Ok(Look::Undone(mark.clone())),
            Err(error) => Err(error),
        }
    }

    async fn sleep_until(&self, until: Timestamp) -> Result<(), Stopped> {
        self.stop.run_until_cancelled(self.clock.sleep_until(until)).await.ok_or(Stopped)
    }

    async fn wait_out(&self, pause: &mut Duration, why: &impl std::fmt::Display) -> Result<(), Stopped> {
        self.warn(&format!("tries again in {} s: {why}", pause.as_secs()));
        let until = self.clock.now() + *pause;
        *pause = RETRY_MOST.min(*pause * 2);
        self.sleep_until(until).await
    }

    fn warn(&self, what: &str) {
        let Schedule { tenant, name, .. } = &*self.schedule;
        tracing::warn!(tenant.id = %tenant, schedule.name = %name, "schedule `{name}` {what}");
    }
}
