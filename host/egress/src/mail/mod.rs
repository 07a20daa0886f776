//! Mail submission: a guest's message, handed to a server that its connection
//! may use, with the connection's credential.
//!
//! Takes a message as the guest wrote it; gives back its id once the server
//! took it, or why not.
//!
//! Invariants
//! - The server's name passes the first gate, each of its addresses the second,
//!   and only those that passed are dialled; TLS verifies the name.
//! - Nothing but loopback is spoken to in the clear.
//! - A guest writes no header by what it puts into another one, and none that
//!   says who sent what when.
//! - No text of the server reaches a guest with the credential in it.

mod message;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use host_model::grants::{MailNotGranted, Origin};
use host_model::name::SecretName;
use host_model::resource::{Connection, CredentialPlace};
use http::{Method, StatusCode, Uri};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use secrecy::ExposeSecret;
use tokio::time::{Instant, timeout_at};

use crate::client::{SendLimits, Way};
use crate::conduct::breaker::Health;
use crate::dial::DialError;
use crate::error::EgressError;
use crate::exchange::Exchange;
use crate::inject::reveal;
use crate::scrub::{Needles, Scrubbing};

use message::Built;

pub use message::{Attachment, Mail};

/// Why mail was not taken: one case for each of `wharf:smtp`'s errors. No text
/// carries a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// A gate refused, or a credential is missing: which rule, and what would open it.
    #[error("{0}")]
    Denied(String),
    /// The message itself is wrong: which part, and what is allowed.
    #[error("{0}")]
    InvalidMessage(String),
    /// The server did not take the connection's credential.
    #[error("{0}")]
    Unauthorized(String),
    /// The server said no, for good.
    #[error("{0}")]
    Rejected(String),
    /// The server, or the connection's rate, says not now.
    #[error("{0}")]
    Busy(String),
    /// Not done in time. The server may have taken it.
    #[error("not done in time; the server may have taken the message")]
    Timeout,
    /// No connection, or it broke. The server may have taken it.
    #[error("{0}")]
    ConnectionFailed(String),
    /// Anything else. For logs.
    #[error("{0}")]
    Other(String),
}

/// How long a goodbye may take; the message is taken already.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The user and the password for a server.
struct Login {
    secret: SecretName,
    credentials: Credentials,
    needles: Needles,
}

/// Sends it, within the time that there is.
pub(crate) async fn send(
    way: &Way,
    connection: &Arc<Connection>,
    server: &str,
    mail: Mail,
    limits: SendLimits,
) -> (Result<String, MailError>, Exchange) {
    let method = Method::from_bytes(b"MAIL").unwrap_or_default();
    let exchange = Exchange::begin(&method, &Uri::from_static("/"));
    let settings = way.settings(connection);
    let deadline = limits.deadline(settings);
    let body_bytes = limits.body_bytes.min(settings.request_bytes);
    let result = match (way.toll)(&connection.tenant) {
        Ok(()) => {
            let sending = Box::pin(hand_over(way, connection, server, mail, body_bytes, deadline, &exchange));
            timeout_at(deadline, sending).await.unwrap_or(Err(MailError::Timeout))
        }
        Err(passed) => Err(MailError::Denied(passed)),
    };
    exchange.ended();
    way.meters.count(connection, &exchange.info(), result.is_err());
    if let Err(error) = &result {
        let (tenant, connection) = (&connection.tenant, &connection.name);
        let origin = exchange.info().origin.map(|origin| origin.to_string()).unwrap_or_default();
        tracing::info!(tenant.id = %tenant, connection.name = %connection, egress.origin = origin, %error, "`{origin}` took no mail of connection `{connection}`: {error}");
    }
    (result, exchange)
}

async fn hand_over(
    way: &Way,
    connection: &Arc<Connection>,
    server: &str,
    mail: Mail,
    body_bytes: u64,
    deadline: Instant,
    exchange: &Exchange,
) -> Result<String, MailError> {
    let origin = Origin::of_mail(server).ok_or_else(|| {
        let got: String = server.chars().take(200).collect();
        MailError::InvalidMessage(format!(
            "`{got}` is not a mail server: write `smtp://mail.example.com:587` or `smtps://mail.example.com:465`"
        ))
    })?;
    exchange.goes_to(&origin);
    clear(way, connection, &origin)?; // the first gate
    let built = message::build(connection, mail, body_bytes)?;

    let pool = way.pools.of(connection);
    let leave = pool.leave(&origin, deadline, exchange).await.map_err(|refused| {
        MailError::Busy(format!(
            "not sent: the connection's {} is used up; come back in {} s",
            refused.why.as_str(),
            refused.wait.as_secs() + 1
        ))
    })?;
    let place = Arc::clone(&pool.places).acquire_owned().await;
    let _place = place.map_err(|_| MailError::Other("the host is stopping".into()))?;
    let login = login(way, connection, &origin).await?;
    exchange.tried();
    // Within the deadline here, too: a server that was silent until then has failed.
    let spoken = timeout_at(deadline, speak(way, &origin, pool.settings.connect, login, &built, exchange));
    let spoken = spoken.await.unwrap_or(Err(MailError::Timeout));
    leave.found(match &spoken {
        Err(MailError::Timeout | MailError::ConnectionFailed(_)) => Health::Failed,
        Err(MailError::Denied(_) | MailError::Other(_)) => Health::Unknown,
        _ => Health::Well, // also a "no" is an answer
    });
    let mut server = spoken?;
    tokio::time::timeout(QUIT_TIMEOUT, server.quit()).await.ok();
    Ok(built.id)
}

/// Connects, logs in, and has the message taken.
async fn speak(
    way: &Way,
    origin: &Origin,
    connect: Duration,
    login: Option<Login>,
    built: &Built,
    exchange: &Exchange,
) -> Result<AsyncSmtpConnection, MailError> {
    let connecting = tokio::time::timeout(connect, wire::connect(way, origin)).await;
    let silent = || MailError::ConnectionFailed(format!("`{}` did not greet in time", origin.host));
    let mut server = connecting.map_err(|_| silent())??;
    let mut needles = Needles::default();
    if let Some(login) = login {
        needles = login.needles;
        let answer = server.auth(&[Mechanism::Plain, Mechanism::Login], &login.credentials).await;
        answer.map_err(|error| match explain(&error, &needles) {
            MailError::Rejected(why) | MailError::Other(why) => MailError::Unauthorized(format!(
                "`{}` refused the secret `{}`: {why}",
                origin.host, login.secret
            )),
            other => other,
        })?;
    }
    let taken = server.send(&built.envelope, &built.bytes).await;
    let taken = taken.map_err(|error| explain(&error, &needles))?;
    exchange.add_sent(built.bytes.len() as u64);
    exchange.answered(StatusCode::from_u16(taken.code().into()).unwrap_or_default());
    Ok(server)
}

/// The first gate.
fn clear(way: &Way, connection: &Connection, origin: &Origin) -> Result<(), MailError> {
    let denied = |why: String| Err(MailError::Denied(format!("{origin} is refused: {why}")));
    let (package, name) = (&connection.package.package, &connection.name);
    match connection.grants.allows_mail(origin) {
        Ok(()) => {}
        Err(why @ MailNotGranted::NotAsked) => {
            return denied(format!("{why}; its author adds it there (package `{package}`)"));
        }
        Err(why @ MailNotGranted::NotConsented) => {
            return denied(format!("{why}; add `{origin}` there (connection `{name}`)"));
        }
    }
    way.policy.allows_host(origin).or_else(|why| denied(why.to_string()))
}

/// The credential that goes to this server, if there is one.
async fn login(way: &Way, connection: &Connection, origin: &Origin) -> Result<Option<Login>, MailError> {
    for credential in &connection.credentials {
        let CredentialPlace::Basic(user) = &credential.place else { continue };
        if !credential.hosts.iter().any(|pattern| pattern.allows(origin)) {
            continue;
        }
        let secret =
            reveal(connection, &way.injector.vault, &credential.secret).await.map_err(
                |error| match error {
                    EgressError::Denied(why) => MailError::Denied(why),
                    other => MailError::Other(other.to_string()),
                },
            )?;
        let password = secret.expose_secret();
        let mut needles = Needles::default();
        needles.add_secret(password);
        needles.add_text(&BASE64_STANDARD.encode(format!("\0{user}\0{password}")));
        let credentials = Credentials::new(user.clone(), password.to_owned());
        return Ok(Some(Login { secret: credential.secret.clone(), credentials, needles }));
    }
    Ok(None)
}

/// What went wrong with the server, without the credential.
fn explain(error: &lettre::transport::smtp::Error, needles: &Needles) -> MailError {
    let text = error.to_string();
    let text = match needles.matcher() {
        Some(matcher) => {
            let mut scrubbing = Scrubbing::new(Arc::new(matcher));
            let mut clean = scrubbing.push(Bytes::from(text)).to_vec();
            clean.extend_from_slice(&scrubbing.finish());
            String::from_utf8_lossy(&clean).into_owned()
        }
        None => text,
    };
    match () {
        () if error.is_permanent() => MailError::Rejected(text),
        () if error.is_transient() => MailError::Busy(text),
        () if error.is_timeout() => MailError::Timeout,
        () if error.is_client() => MailError::Rejected(text),
        () => MailError::ConnectionFailed(text),
    }
}

impl From<DialError> for MailError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Denied { .. } => Self::Denied(error.to_string()),
            _ => Self::ConnectionFailed(error.to_string()),
        }
    }
}
