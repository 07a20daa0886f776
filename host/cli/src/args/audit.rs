//! `wharf audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{When, when};

/// The audit log: with `--tenant` one tenant's, else all that the token may see.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List entries, newest first; `--json` shows all of each, how it was and how it is
    List(Entries),
    /// Print every entry, a line of JSON each, oldest first; a line's SHA-256 is the next one's `prev`
    Export {
        /// Only what happened then or later: 2026-01-31T08:00:00Z, or so long ago: 90m, 12h, 7d
        #[arg(long, value_name = "TIME", value_parser = when)]
        since: Option<When>,
        /// Only what is the host's own, not a tenant's
        #[arg(long)]
        host: bool,
    },
    /// Print where each chain ends now; kept elsewhere, it shows whether what was before stays as it was
    Head,
    /// Read the chains from end to end, and say where one was changed afterwards
    Verify {
        /// Also compare with what `wharf audit head` printed once, kept in this file
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
    },
}

/// Which entries of the audit log.
#[derive(Args, Debug)]
pub struct Entries {
    /// Only those of then or later: 2026-01-31T08:00:00Z, or so long ago: 90m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub since: Option<When>,
    /// Only those of before then
    #[arg(long, value_name = "TIME", value_parser = when)]
    pub until: Option<When>,
    /// Only those by this token, named by its id or its note; or by `host`, or by `nobody`
    #[arg(long)]
    pub actor: Option<String>,
    /// Only those of this operation: put_connection
    #[arg(long)]
    pub operation: Option<String>,
    /// Only those about this kind of thing: connection
    #[arg(long)]
    pub kind: Option<String>,
    /// Only those about the thing of this name
    #[arg(long)]
    pub name: Option<String>,
    /// Only what is the host's own, not a tenant's
    #[arg(long)]
    pub host: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
}
