//! The stand-ins as a program: one JSON line with the addresses, then one
//! line for each request.

use std::io::Write as _;
use std::net::SocketAddr;

use clap::Parser;
use tests_upstreams::{Addresses, Credential, Credentials, Received, Upstreams};
use tokio::sync::broadcast::error::RecvError;

/// A stand-in CRM, mail API and chat, and a laboratory of bad answers.
#[derive(Parser)]
#[command(name = "upstreams")]
struct Args {
    /// Where the CRM listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9101")]
    crm: SocketAddr,
    /// Where the mail API listens.
    #[arg(long, default_value = "127.0.0.1:9102")]
    mail: SocketAddr,
    /// Where the chat listens.
    #[arg(long, default_value = "127.0.0.1:9103")]
    chat: SocketAddr,
    /// Where the laboratory listens.
    #[arg(long, default_value = "127.0.0.1:9104")]
    lab: SocketAddr,
    /// The CRM's bearer token.
    #[arg(long, env = "UPSTREAMS_CRM_TOKEN", hide_env_values = true)]
    crm_token: Option<String>,
    /// The mail API's key.
    #[arg(long, env = "UPSTREAMS_MAIL_KEY", hide_env_values = true)]
    mail_key: Option<String>,
    /// The chat's user.
    #[arg(long, env = "UPSTREAMS_CHAT_USER")]
    chat_user: Option<String>,
    /// The chat's password.
    #[arg(long, env = "UPSTREAMS_CHAT_PASSWORD", hide_env_values = true)]
    chat_password: Option<String>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let demo = Credentials::default();
    let credentials = Credentials {
        crm_token: args.crm_token.unwrap_or(demo.crm_token),
        mail_key: args.mail_key.unwrap_or(demo.mail_key),
        chat_user: args.chat_user.unwrap_or(demo.chat_user),
        chat_password: args.chat_password.unwrap_or(demo.chat_password),
    };
    let at = Addresses { crm: args.crm, mail: args.mail, chat: args.chat, lab: args.lab };
    let upstreams = Upstreams::start_at(at, credentials).await?;
    let mut arrivals = upstreams.arrivals();

    say(&serde_json::to_string(&upstreams.addresses())?)?;
    loop {
        match arrivals.recv().await {
            Ok(request) => say(&line(&request))?,
            Err(RecvError::Lagged(lost)) => say(&format!("... and {lost} more, too fast to print"))?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

/// Whoever started this reads a pipe and wants each line at once.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn line(request: &Received) -> String {
    let Received { system, method, path, status, count, .. } = request;
    let credential = match request.credential {
        Credential::Right => "credential right",
        Credential::Wrong => "credential WRONG",
        Credential::Missing => "credential MISSING",
        Credential::NotAsked => "no credential asked",
    };
    let repeated = if *count > 1 { format!(" (request {count} with this key)") } else { String::new() };
    let body = request.body.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{system:<4} {method} {path} -> {status}, {credential}{repeated} {body}")
}
