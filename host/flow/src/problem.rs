//! What is wrong with a workflow, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The workflow is not taken.
    #[default]
    Error,
    /// The workflow is taken; its author may want to look.
    Warning,
}

/// What is wrong with a workflow, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line in the text, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is wrong, and what to write instead.
    pub message: String,
    /// How bad it is.
    #[serde(default)]
    pub level: Level,
}

impl Problem {
    /// An error at a place.
    pub fn new(line: u32, column: u32, message: impl Into<String>) -> Self {
        Self { line, column, message: message.into(), level: Level::Error }
    }

    /// A warning at a place.
    pub fn warning(line: u32, column: u32, message: impl Into<String>) -> Self {
        Self { line, column, message: message.into(), level: Level::Warning }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Warning { "warning: " } else { "" };
        write!(f, "{}:{}: {level}{}", self.line, self.column, self.message)
    }
}
