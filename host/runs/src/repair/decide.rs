//! What may be done to a run that stands somewhere. Pure.

use std::fmt;

use host_model::run::RunStatus;

/// What somebody does to a run by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It stops in good order, and waits for a hand.
    Pause,
    /// It goes on.
    Resume,
    /// It stops in good order, and what its workflow named is undone.
    Cancel,
    /// It ends now, and nothing is undone.
    Terminate,
}

impl Action {
    /// The word in the API and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
        }
    }

    /// What was done, in the trace.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Terminate => "terminated",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why that cannot be done to a run that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has ended.
    #[error("it has ended ({0}); `wharf runs replay` makes a new run of it")]
    Over(RunStatusWord),
    /// It was done before.
    #[error("it is {0} already")]
    Already(RunStatusWord),
    /// It is not paused.
    #[error("it is {0}, not paused")]
    NotPaused(RunStatusWord),
    /// What undoes it is being called.
    #[error("it is being cancelled; it can only be terminated now")]
    Cancelling,
}

/// A status, in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunStatusWord(pub RunStatus);

impl fmt::Display for RunStatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Where the run then stands.
pub(crate) fn decide(status: RunStatus, action: Action) -> Result<RunStatus, Unfit> {
    use RunStatus::{Accepted, Cancelling, Paused, Terminated, Waiting};
    let word = RunStatusWord(status);
    match (action, status) {
        (_, status) if status.is_over() => Err(Unfit::Over(word)),
        (Action::Terminate, _) => Ok(Terminated),
        (Action::Pause, Accepted | Waiting) => Ok(Paused),
        (Action::Cancel, Accepted | Waiting | Paused) => Ok(Cancelling),
        // It is replayed to where it was, and waits there again if it still has to.
        (Action::Resume, Paused) => Ok(Accepted),
        (Action::Pause, Paused) | (Action::Cancel, Cancelling) => Err(Unfit::Already(word)),
        (_, Cancelling) => Err(Unfit::Cancelling),
        (Action::Resume, _) => Err(Unfit::NotPaused(word)),
        // Over, which the first line has.
        (Action::Pause | Action::Cancel, _) => Err(Unfit::Over(word)),
    }
}

#[test]
fn each_action_fits_some_runs_and_says_why_it_does_not_fit_the_others() {
    use Action::{Cancel, Pause, Resume, Terminate};
    let said = |status, action| match decide(status, action) {
        Ok(next) => next.as_str().to_owned(),
        Err(unfit) => unfit.to_string(),
    };
    for (status, want) in [
        (RunStatus::Accepted, ["paused", "it is accepted, not paused", "cancelling", "terminated"]),
        (RunStatus::Waiting, ["paused", "it is waiting, not paused", "cancelling", "terminated"]),
        (RunStatus::Paused, ["it is paused already", "accepted", "cancelling", "terminated"]),
        (
            RunStatus::Cancelling,
            [
                "it is being cancelled; it can only be terminated now",
                "it is being cancelled; it can only be terminated now",
                "it is cancelling already",
                "terminated",
            ],
        ),
    ] {
        assert_eq!([Pause, Resume, Cancel, Terminate].map(|action| said(status, action)), want);
    }
    for over in RunStatus::ALL.into_iter().filter(|status| status.is_over()) {
        for action in [Pause, Resume, Cancel, Terminate] {
            assert_eq!(decide(over, action), Err(Unfit::Over(RunStatusWord(over))));
        }
    }
}
