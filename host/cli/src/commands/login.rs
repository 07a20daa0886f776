//! `wharf login` and `wharf logout`: a browser, an issuer, and a token for this
//! machine, as native apps do it (RFC 8252).
//!
//! What comes back is a code that is worth nothing without the verifier, which
//! never leaves this process but to the server.

mod listen;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use host_model::clock::Timestamp;
use host_model::digest::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use self::listen::Listener;
use super::Session;
use crate::api::{Api, ApiError};
use crate::args::{Globals, Login};
use crate::error::{CommandError, Exit};
use crate::profile::{Target, forget, keep};

/// Bytes of what nobody guesses (RFC 7636, 4.1).
const RANDOM: usize = 32;
/// What opens a page on this machine.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("not logged in: {0}")]
    Refused(String),
    #[error("nobody logged in within ten minutes: try again")]
    Late,
    #[error("cannot wait for the browser on loopback: {0}")]
    Listen(std::io::Error),
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
    #[error("the server names `{0}` as the place to log in, which is no web address")]
    Place(String),
    #[error("there is no token to give up: nobody is logged in here")]
    NoToken,
}

impl LoginError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Absent,
            Self::NoToken => Exit::Usage,
            Self::Late => Exit::TryAgain,
            Self::Listen(_) | Self::Random(_) | Self::Place(_) => Exit::Failed,
        }
    }
}

/// What a server says of logins.
#[derive(Deserialize)]
struct Offered {
    login: String,
}

/// A token as a login gives it.
#[derive(Deserialize)]
struct Given {
    token: String,
    note: String,
    role: String,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default, rename = "expires-at")]
    expires_at: Option<Timestamp>,
}

fn random() -> Result<String, LoginError> {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).map_err(LoginError::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) async fn login(
    session: &mut Session<'_>,
    target: Target,
    globals: &Globals,
    login: Login,
) -> Result<Exit, CommandError> {
    let server = target.server.clone();
    // The token that it has, if it has one, is nothing to a login.
    let api = Api::new(&Target { token: None, ..target })?;
    let offered: Offered = api.read(&api.get("login/issuers").value().await?)?;
    let (verifier, state) = (random()?, random()?);
    let listener = Listener::bind().await.map_err(LoginError::Listen)?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
    let mut page = Url::parse(&offered.login).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let page = page.as_mut().ok_or(LoginError::Place(offered.login))?;
    page.query_pairs_mut()
        .extend_pairs([("challenge", challenge.as_str()), ("redirect", &listener.url()), ("state", &state)])
        .extend_pairs(login.issuer.iter().map(|issuer| ("issuer", issuer.as_str())))
        .extend_pairs(globals.tenant.iter().map(|tenant| ("tenant", tenant.as_str())));
    let page = page.as_str();
    session.terminal.warn(&format!("Log in on this page, in a browser on this machine:\n\n  {page}\n"))?;
    if session.terminal.has_somebody() && !login.no_browser {
        // Whoever has no such program has the address.
        let quiet = std::process::Stdio::null;
        let _ = Command::new(OPENER).arg(page).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    }
    let code = listener.code(&state).await?;

    let mut body =
        api.post("login/token").json(&json!({ "code": code, "verifier": verifier })).value().await?;
    let Given { token, note, role, tenant, expires_at } = api.read(&body)?;
    let path = keep(globals, &server, &token, tenant.is_some())?;
    if globals.token.is_some() {
        session
            .terminal
            .warn("warning: --token or WHARF_TOKEN is set, and counts for more than this login")?;
    }
    // Kept for the owner of the file alone; on a screen or in a log it would not be.
    body.as_object_mut().map(|fields| fields.remove("token"));
    session.show(&body, || {
        let place = tenant.map_or("of this host".to_owned(), |tenant| format!("in tenant {tenant}"));
        let until =
            expires_at.map_or(String::new(), |at| format!(" until {}", at.format("%Y-%m-%d %H:%M UTC")));
        format!("logged in as {note}, {role} {place}{until}; kept in {}", path.display())
    })
}

pub(super) async fn logout(session: &mut Session<'_>, globals: &Globals) -> Result<Exit, CommandError> {
    let token = session.api.token().ok_or(LoginError::NoToken)?.to_owned();
    let (body, words) = match session.api.post("api/v1/logout").value().await {
        Ok(body) => (body, "logged out: the token is refused from now on"),
        Err(ApiError::Refused { problem, .. }) if problem.status == 401 => {
            (Value::Null, "the login was over already")
        }
        Err(error) => return Err(error.into()),
    };
    forget(globals, &token)?;
    session.show(&body, || words.to_owned())
}
