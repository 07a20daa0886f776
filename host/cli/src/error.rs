//! How a command ends: the exit code for programs, the words for people.

use std::process::ExitCode;

use host_model::name::BadName;

use crate::api::ApiError;
use crate::commands::LoginError;
use crate::input::InputError;
use crate::profile::ProfileError;
use crate::terminal::Terminal;

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// The thing asked for failed: the run failed, the file was refused.
    Failed = 1,
    /// The command line, the profile or a file named there is wrong.
    Usage = 2,
    /// Not authorised or not there: the server answers both alike.
    Absent = 3,
    /// The server cannot be reached.
    Unreachable = 4,
    /// Not now, perhaps later: too busy, or the run is not done yet.
    TryAgain = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("which tenant? Your token is the operator's: add `--tenant NAME` or set WHARF_TENANT")]
    NoTenant,
    #[error("a token for whom? Add `--tenant NAME`; one that may do everything has `--role operator`")]
    NoScope,
    #[error("cannot write the answer: {0}")]
    Write(#[from] std::io::Error),
}

impl CommandError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => error.exit(),
            Self::Login(error) => error.exit(),
            Self::Input(_) | Self::Profile(_) | Self::Name(_) | Self::NoTenant | Self::NoScope => Exit::Usage,
            Self::Write(_) => Exit::Failed,
        }
    }

    /// Says it on the error stream. There is nobody left to tell if that fails.
    pub(crate) fn tell(&self, terminal: &mut Terminal, json: bool) {
        if json {
            let problem = match self {
                Self::Api(ApiError::Refused { body, .. }) if body.get("code").is_some() => body.clone(),
                other => serde_json::json!({ "code": "client", "detail": other.to_string() }),
            };
            let _ = terminal.warn(&problem.to_string());
            return;
        }
        let _ = terminal.warn(&format!("error: {self}"));
        if let Self::Api(error) = self
            && let Some(hint) = error.hint()
        {
            let _ = terminal.warn(&format!("  {hint}"));
        }
    }
}
