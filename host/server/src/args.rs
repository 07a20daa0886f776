//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Wharf: a host for sandboxed connectors.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, about, propagate_version = true)]
pub struct Args {
    /// What to reach, as whom.
    #[command(flatten)]
    pub globals: host_cli::Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a host with everything embedded; SIGTERM drains it.
    Up {
        /// The folder that everything durable is below; made if it is not there.
        #[arg(long)]
        data: PathBuf,
        /// Where to listen; overrules the config file. Port 0 takes a free one.
        #[arg(long)]
        listen: Option<SocketAddr>,
        /// The host's config file.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Look at a stopped host's data and at this machine, and say what is wrong.
    Doctor {
        /// The host's data folder.
        #[arg(long)]
        data: PathBuf,
        /// The host's config file, if it has one: master keys, TLS, trusted publishers.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Write a backup of the store to this file.
        #[arg(long)]
        backup: Option<PathBuf>,
        /// Set a damaged store aside and restore it from this backup.
        #[arg(long, conflicts_with = "backup")]
        restore: Option<PathBuf>,
    },
    /// Compile the component on standard input (used by the host itself).
    #[command(name = "compile-component", hide = true)]
    CompileComponent,
    /// Everything that talks to a host.
    #[command(flatten)]
    Remote(host_cli::Command),
}
