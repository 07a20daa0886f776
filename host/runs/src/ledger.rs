//! What a run's journal knows, and the decisions that follow from it. Pure: no
//! clock, no store, no waiting; [`crate::journal`] brings the facts.
//!
//! Invariants
//! - A step is known once it is written or in the queue of what is written
//!   next. What a crash takes back with that queue, only the guest has seen,
//!   and the guest goes with it.
//! - Completion numbers are in the order of that queue, so "who came first"
//!   has the same answer at every replay.

use std::collections::BTreeMap;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::effects::Pending;
use host_model::outcome::Outcome;

/// The most calls of one run that may be going on at once; said in `wit/`.
pub(crate) const MAX_PENDING: u32 = 64;

/// The most steps of one run: a loop that never ends ends here, before its
/// journal crowds the store.
pub(crate) const MAX_STEPS: u32 = 10_000;

/// The most bytes of answers that one run keeps in memory; further ones are
/// read back from the store when the guest asks. A thousand runs then hold at
/// most 256 MiB.
pub(crate) const MAX_KEPT: usize = 256 << 10;

/// Why a run cannot go on in this attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It asked for this where its journal has something else. It ends as diverged.
    Differs(u32, String),
    /// It asked for too much. It ends as failed.
    Failed(String),
    /// The store or the host failed. It is tried again.
    Broken(String),
    /// Somebody else changed what it rests on. It is taken up again at once.
    Again,
    /// The host is stopping. It goes on at the next start.
    Parked,
    /// It waits for long, and its record says for what.
    Waits,
    /// Its deadline came. It ends as failed.
    Overdue,
    /// Somebody's hand stopped it; the run's record says what is next.
    Ordered,
}

impl Halt {
    /// What the trap of the guest says.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Differs(number, _) => format!("step {number} is not what the journal says"),
            Self::Failed(text) | Self::Broken(text) => text.clone(),
            Self::Again => "the run was changed from outside; it is taken up again".to_owned(),
            Self::Parked => "the host is stopping".to_owned(),
            Self::Waits => "the run waits".to_owned(),
            Self::Overdue => "the run's deadline came".to_owned(),
            Self::Ordered => "the run was stopped by hand".to_owned(),
        }
    }
}

/// A recorded step, as far as a replay needs it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The digest of what was asked.
    pub(crate) asked: Digest,
    /// Its place in the order of completion.
    pub(crate) completed: u32,
    /// When it was done.
    pub(crate) finished_at: Timestamp,
    /// How it ended; `None` if that has to be read from the store.
    pub(crate) outcome: Option<Outcome<String>>,
}

/// What to do with something that the guest asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The journal has it.
    Recorded(u32),
    /// It is to be done.
    Fresh(u32),
    /// It is to be refused: too many calls are going on.
    Crowded(u32),
    /// The journal has something else in this place.
    Differs(u32),
    /// The run has had all the steps that it may have.
    TooMany,
}

/// The state of one attempt at a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    known: BTreeMap<u32, Known>,
    kept: usize,
    next: u32,
    open: u32,
    now: Timestamp,
    /// What the guest is waiting for, now.
    awaited: Vec<u32>,
    halt: Option<Halt>,
}

impl Ledger {
    /// Of a run that was accepted then.
    pub(crate) fn new(accepted_at: Timestamp) -> Self {
        Self {
            known: BTreeMap::new(),
            kept: 0,
            next: 0,
            open: 0,
            now: accepted_at,
            awaited: Vec::new(),
            halt: None,
        }
    }

    /// A step is recorded. Its answer is kept if there is room.
    pub(crate) fn know(&mut self, number: u32, mut known: Known) {
        let size = match &known.outcome {
            Some(Outcome::Answered(text)) => text.len(),
            Some(other) => format!("{other:?}").len(),
            None => 0,
        };
        if self.kept.saturating_add(size) > MAX_KEPT {
            known.outcome = None;
        } else {
            self.kept += size;
        }
        self.known.insert(number, known);
    }

    /// The guest asks for its next step; an instant one is done before the
    /// guest goes on, so it never crowds.
    pub(crate) fn ask(&mut self, asked: Digest, instant: bool) -> Ask {
        let number = self.next;
        if number >= MAX_STEPS {
            return Ask::TooMany;
        }
        self.next += 1;
        match self.known.get(&number) {
            Some(known) if known.asked == asked => Ask::Recorded(number),
            Some(_) => Ask::Differs(number),
            None => {
                self.open += 1;
                if self.open > MAX_PENDING && !instant { Ask::Crowded(number) } else { Ask::Fresh(number) }
            }
        }
    }

    /// A step that the guest asked for in this attempt is done.
    pub(crate) fn settle(&mut self, number: u32, known: Known) {
        self.open = self.open.saturating_sub(1);
        self.know(number, known);
    }

    /// How many steps are recorded.
    pub(crate) fn recorded(&self) -> usize {
        self.known.len()
    }

    /// Whether this step is done.
    pub(crate) fn is_recorded(&self, number: u32) -> bool {
        self.known.contains_key(&number)
    }

    /// The guest waits for these; for none any more.
    pub(crate) fn awaits(&mut self, numbers: Vec<u32>) {
        self.awaited = numbers;
    }

    /// Whether the guest waits, for nothing that is done.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.awaited.is_empty() && !self.awaited.iter().any(|number| self.known.contains_key(number))
    }

    /// How many steps that the guest asked for are not done.
    pub(crate) fn open(&self) -> usize {
        self.open as usize
    }

    /// Whether the guest waits for this step, so that it goes on once it is done.
    pub(crate) fn is_awaited(&self, number: u32) -> bool {
        self.awaited.contains(&number)
    }

    /// Whether the guest has asked for this step.
    pub(crate) fn was_asked(&self, number: u32) -> bool {
        number < self.next
    }

    /// Shows the guest a recorded step; `None` while it is not recorded.
    pub(crate) fn show(&mut self, number: u32) -> Option<&Known> {
        let known = self.known.get(&number)?;
        self.now = self.now.max(known.finished_at);
        Some(known)
    }

    /// The place of the first of these that completed; `None` while none has.
    pub(crate) fn first_of(&mut self, pending: &[Pending]) -> Option<usize> {
        let completed = |(place, Pending(number)): (usize, &Pending)| {
            Some((self.known.get(number)?.completed, place, *number))
        };
        let (_, place, number) = pending.iter().enumerate().filter_map(completed).min()?;
        self.show(number);
        Some(place)
    }

    /// The run's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// A recorded step that the guest, being at its end, did not ask for.
    pub(crate) fn unasked(&self) -> Option<u32> {
        self.known.range(self.next..).next().map(|(number, _)| *number)
    }

    /// Stops the attempt. The first reason stays.
    pub(crate) fn halt(&mut self, why: Halt) {
        self.halt.get_or_insert(why);
    }

    /// Why the attempt is stopped, if it is.
    pub(crate) fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn at(ms: i64) -> Timestamp {
        DateTime::from_timestamp_millis(ms).unwrap()
    }

    fn ledger(recorded: impl IntoIterator<Item = Known>) -> Ledger {
        let mut ledger = Ledger::new(at(5));
        (0..).zip(recorded).for_each(|(number, known)| ledger.know(number, known));
        ledger
    }

    fn known(asked: &str, completed: u32, text: &str) -> Known {
        Known {
            asked: Digest::of(asked.as_bytes()),
            completed,
            finished_at: at(100 + i64::from(completed)),
            outcome: Some(Outcome::Answered(text.to_owned())),
        }
    }

    #[test]
    fn a_replay_is_answered_in_the_recorded_order_and_compared() {
        let mut replay = ledger([known("a", 1, "x"), known("b", 0, "y")]);
        assert_eq!(replay.ask(Digest::of(b"a"), false), Ask::Recorded(0));
        assert_eq!(replay.unasked(), Some(1));
        assert_eq!(replay.ask(Digest::of(b"b"), false), Ask::Recorded(1));
        assert_eq!(replay.first_of(&[Pending(0), Pending(1)]), Some(1));
        assert_eq!(replay.now(), at(100));
        assert_eq!(replay.ask(Digest::of(b"c"), false), Ask::Fresh(2));
        assert_eq!(replay.first_of(&[Pending(2)]), None);

        let mut other = ledger([known("a", 0, "x")]);
        assert_eq!(other.now(), at(5));
        assert_eq!(other.ask(Digest::of(b"z"), false), Ask::Differs(0));
    }

    #[test]
    fn the_sixty_fifth_call_at_once_is_refused_until_one_is_done() {
        let mut ledger = ledger([]);
        for number in 0..MAX_PENDING {
            assert_eq!(ledger.ask(Digest::of(b"a"), false), Ask::Fresh(number));
        }
        assert_eq!(ledger.ask(Digest::of(b"a"), false), Ask::Crowded(64));
        ledger.settle(64, known("a", 0, "refused"));
        ledger.settle(3, known("a", 1, "done"));
        assert_eq!(ledger.ask(Digest::of(b"a"), false), Ask::Fresh(65));
        assert_eq!(ledger.ask(Digest::of(b"a"), false), Ask::Crowded(66));
        assert_eq!(ledger.ask(Digest::of(b"a"), true), Ask::Fresh(67), "what is done at once never waits");
    }

    #[test]
    fn answers_beyond_the_memory_bound_are_left_in_the_store() {
        let big = "x".repeat(MAX_KEPT);
        let mut ledger = ledger([known("a", 0, &big), known("b", 1, "y")]);
        assert!(ledger.show(0).unwrap().outcome.is_some());
        assert!(ledger.show(1).unwrap().outcome.is_none());
    }
}
