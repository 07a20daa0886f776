//! Stand-ins for outside systems: a CRM, a mail API, a chat, and a laboratory
//! of answers that real systems should not give.
//!
//! [`Upstreams::start`] listens on loopback and gives the addresses; whatever
//! arrives is kept as [`Received`] and can be asked for, also over HTTP at
//! `GET /received` of each system.
//!
//! Invariants
//! - What is kept says whether a credential was right, never its value.
//! - The same idempotency key has its effect once, as in real systems.
//! - A fault that is switched on passes by itself after its `times`.

mod chat;
mod crm;
mod faults;
mod issuer;
mod lab;
mod mail;
mod received;
mod smtp;
mod system;

use std::net::SocketAddr;

use axum::Router;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use faults::Fault;
pub use issuer::{LOGIN_CLIENT, LOGIN_CLIENT_SECRET, LoginIssuer, Mood, Wrong};
pub use lab::{ACCESS_TOKEN, REFRESH_TOKEN};
pub use received::{Credential, Received};
pub use smtp::{Letter, MailServer};

use system::System;

/// What each system takes for a right credential.
#[derive(Clone)]
pub struct Credentials {
    /// The CRM's bearer token.
    pub crm_token: String,
    /// The mail API's key, sent as the query parameter `api_key`.
    pub mail_key: String,
    /// The chat's user.
    pub chat_user: String,
    /// The chat's password.
    pub chat_password: String,
}

impl Default for Credentials {
    /// Credentials that say what they are: they open nothing outside a demo.
    fn default() -> Self {
        Self {
            crm_token: "demo-crm-token-4f1a".to_owned(),
            mail_key: "demo-mail-key-9c2e".to_owned(),
            chat_user: "wharf-bot".to_owned(),
            chat_password: "demo-chat-password-7b3d".to_owned(),
        }
    }
}

/// Where the systems listen; port 0 takes a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// The CRM.
    pub crm: SocketAddr,
    /// The mail API.
    pub mail: SocketAddr,
    /// The chat.
    pub chat: SocketAddr,
    /// The laboratory.
    pub lab: SocketAddr,
}

impl Default for Addresses {
    /// Free ports on loopback.
    fn default() -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { crm: free, mail: free, chat: free, lab: free }
    }
}

/// The systems, up until this is dropped.
pub struct Upstreams {
    /// Where the CRM listens.
    pub crm: SocketAddr,
    /// Where the mail API listens.
    pub mail: SocketAddr,
    /// Where the chat listens.
    pub chat: SocketAddr,
    /// Where the laboratory listens.
    pub lab: SocketAddr,
    systems: Systems,
    arrivals: broadcast::Sender<Received>,
    _stop: DropGuard,
}

struct Systems {
    crm: System,
    mail: System,
    chat: System,
    lab: System,
}

/// How many arrivals a slow reader of [`Upstreams::arrivals`] may lag behind.
const ARRIVALS: usize = 4_096;

impl Upstreams {
    /// Starts all four on free ports of loopback.
    pub async fn start(credentials: Credentials) -> std::io::Result<Self> {
        Self::start_at(Addresses::default(), credentials).await
    }

    /// Starts all four at these addresses.
    pub async fn start_at(at: Addresses, credentials: Credentials) -> std::io::Result<Self> {
        let (arrivals, _) = broadcast::channel(ARRIVALS);
        let system = |name, gate| System::new(name, gate, arrivals.clone());
        let systems = Systems {
            crm: system("crm", crm::gate(&credentials)),
            mail: system("mail", mail::gate(&credentials)),
            chat: system("chat", chat::gate(&credentials)),
            lab: system("lab", lab::gate()),
        };
        let stop = CancellationToken::new();
        Ok(Self {
            crm: serve(at.crm, systems.crm.routes(crm::routes()), &stop).await?,
            mail: serve(at.mail, systems.mail.routes(mail::routes()), &stop).await?,
            chat: serve(at.chat, systems.chat.routes(chat::routes()), &stop).await?,
            lab: serve(at.lab, systems.lab.routes(lab::routes()), &stop).await?,
            systems,
            arrivals,
            _stop: stop.drop_guard(),
        })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Addresses {
        Addresses { crm: self.crm, mail: self.mail, chat: self.chat, lab: self.lab }
    }

    /// What the CRM received, oldest first.
    pub fn crm_received(&self) -> Vec<Received> {
        self.systems.crm.received()
    }

    /// What the mail API received, oldest first.
    pub fn mail_received(&self) -> Vec<Received> {
        self.systems.mail.received()
    }

    /// What the chat received, oldest first.
    pub fn chat_received(&self) -> Vec<Received> {
        self.systems.chat.received()
    }

    /// What the laboratory received, oldest first.
    pub fn lab_received(&self) -> Vec<Received> {
        self.systems.lab.received()
    }

    /// What all of them received, one system after the other.
    pub fn received(&self) -> Vec<Received> {
        let Systems { crm, mail, chat, lab } = &self.systems;
        [crm, mail, chat, lab].into_iter().flat_map(System::received).collect()
    }

    /// The effects that took place: leads, messages and posts, each
    /// idempotency key once.
    pub fn effects(&self) -> Effects {
        let Systems { crm, mail, chat, .. } = &self.systems;
        Effects { leads: crm.effects(), messages: mail.effects(), posts: chat.effects() }
    }

    /// Switches a fault on at the CRM; replaces an earlier one.
    pub fn break_crm(&self, fault: Fault) {
        self.systems.crm.break_with(fault);
    }

    /// Switches a fault on at the mail API; replaces an earlier one.
    pub fn break_mail(&self, fault: Fault) {
        self.systems.mail.break_with(fault);
    }

    /// Switches a fault on at the chat; replaces an earlier one.
    pub fn break_chat(&self, fault: Fault) {
        self.systems.chat.break_with(fault);
    }

    /// Each request as it is answered, from now on.
    pub fn arrivals(&self) -> broadcast::Receiver<Received> {
        self.arrivals.subscribe()
    }
}

/// What the systems have to show for it, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Effects {
    /// In the CRM.
    pub leads: Vec<serde_json::Value>,
    /// In the mail API.
    pub messages: Vec<serde_json::Value>,
    /// In the chat.
    pub posts: Vec<serde_json::Value>,
}

async fn serve(at: SocketAddr, routes: Router, stop: &CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(at).await?;
    let address = listener.local_addr()?;
    let stopped = stop.clone().cancelled_owned();
    TaskTracker::new()
        .spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped).await });
    Ok(address)
}
