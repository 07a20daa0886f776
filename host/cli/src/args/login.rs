//! What may be typed to log in.

use clap::Args;

/// A login. `--tenant` says which tenant it is for, if there are several.
#[derive(Args, Debug)]
pub struct Login {
    /// By which issuer [default: the only one of the server]
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Print the address and open no browser
    #[arg(long)]
    pub no_browser: bool,
}
