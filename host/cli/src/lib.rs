//! The CLI: every `wharf` command that talks to a server.
//!
//! Takes parsed arguments ([`Command`], [`Globals`]), speaks HTTP to the
//! server's API and gives back an [`Exit`]. It cannot know the host: no crate
//! of the host but `host-model` is in reach, so whatever it can do, any
//! program with a token can do.
//!
//! Invariants
//! - A secret's value is never an argument and never printed.
//! - A token goes to the server that it was given for, and to no other.
//! - What a stranger wrote reaches a terminal with control characters escaped.

mod api;
mod args;
mod commands;
mod dial;
mod error;
mod input;
mod profile;
mod run_view;
mod table;
mod terminal;
mod units;

use std::process::ExitCode;

pub use args::{Command, Globals, Kind, Runs, Secret, Tenant, Token};
pub use error::Exit;
pub use terminal::Terminal;

/// Runs one command against the server, talking to this process's terminal.
pub async fn run(command: Command, globals: Globals) -> ExitCode {
    execute(command, globals, &mut Terminal::of_process()).await.into()
}

/// The same against any terminal: for tests, and for whoever embeds the CLI.
pub async fn execute(command: Command, globals: Globals, terminal: &mut Terminal) -> Exit {
    let json = globals.json;
    match commands::run(command, globals, terminal).await {
        Ok(exit) => exit,
        Err(error) => {
            error.tell(terminal, json);
            error.exit()
        }
    }
}
