//! What may be typed to publish a package.

use std::path::PathBuf;

use clap::Args;

/// A package to publish.
#[derive(Args, Debug)]
pub struct Publish {
    /// The component
    pub file: PathBuf,
    /// Its signature, as `minisign -Sm FILE` makes it: for a host that trusts named publishers only
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
}
