//! What somebody is about to do.

use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use host_model::id::TokenId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::Chain;
use crate::shown::Shown;

/// The most characters of a name or detail; both may be a stranger's.
const MAX_TEXT: usize = 200;

/// The role that is of no tenant.
const OPERATOR: &str = "operator";

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// Whoever holds a token.
    Token {
        /// The token's id.
        id: TokenId,
        /// Its role.
        role: String,
        /// What it says of who has it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// Whoever an issuer says that they are, before they have a token.
    Person {
        /// Who, for ever: `oidc:{issuer}:{sub}`.
        subject: String,
        /// What the issuer calls them.
        name: String,
    },
    /// The host itself, or the operator on its machine.
    Host,
    /// Somebody with no token that is good.
    Nobody,
}

impl Actor {
    /// Whether this is whom somebody looks for: a token's id or note, a person's
    /// subject or name, `host` or `nobody`.
    pub fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Token { id, note, .. } => note == wanted || id.to_string() == wanted,
            Self::Person { subject, name } => name == wanted || subject == wanted,
            Self::Host => wanted == "host",
            Self::Nobody => wanted == "nobody",
        }
    }
}

/// Tells one request from all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(String);

impl RequestId {
    /// An id of these random bytes.
    pub fn new(random: [u8; 8]) -> Self {
        Self(format!("req_{:016x}", u64::from_be_bytes(random)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody doing one operation.
#[derive(Debug)]
pub struct Act {
    /// Who.
    pub by: Actor,
    /// From which address, if over the network.
    pub from: Option<IpAddr>,
    /// In which request.
    pub request: Option<RequestId>,
    /// Which operation of the API, by its id.
    pub operation: &'static str,
    thing: OnceLock<String>,
    settled: AtomicBool,
}

impl Act {
    /// An act over the network.
    pub fn new(by: Actor, from: Option<IpAddr>, request: RequestId, operation: &'static str) -> Self {
        let (thing, settled) = Default::default();
        Self { by, from, request: Some(request), operation, thing, settled }
    }

    /// The host's own, or the operator's on its machine.
    pub fn of_host(operation: &'static str) -> Self {
        let (thing, settled) = Default::default();
        Self { by: Actor::Host, from: None, request: None, operation, thing, settled }
    }

    /// Somebody of a tenant does it, not the operator or the host.
    pub(crate) fn is_tenants(&self) -> bool {
        matches!(&self.by, Actor::Token { role, .. } if role != OPERATOR)
    }

    /// The same, for when it is told how often it was.
    pub(crate) fn again(&self) -> Self {
        let Self { by, from, operation, .. } = self;
        Self { by: by.clone(), from: *from, ..Self::of_host(operation) }
    }

    /// Names what it is done to, if the request's path does not.
    pub fn name(&self, thing: &str) {
        let _ = self.thing.set(thing.to_owned());
    }

    /// What it is done to, if somebody named it.
    pub fn named(&self) -> Option<&str> {
        self.thing.get().map(String::as_str)
    }

    /// Its entries are written, or nothing changed that would need one.
    pub fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }
}

/// What is done to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Whose thing it is.
    pub chain: Chain,
    /// What kind of thing: `connection`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// More about it: a query, a reason.
    pub detail: String,
    /// How it was.
    pub before: Option<Shown>,
    /// How it is now.
    pub after: Option<Shown>,
}

impl Deed {
    /// Something done to this thing.
    pub fn new(chain: Chain, kind: &str, name: &str) -> Self {
        let (detail, before, after) = Default::default();
        Self { chain, kind: bounded(kind), name: bounded(name), detail, before, after }
    }

    /// With more about it.
    #[must_use]
    pub fn detail(self, detail: &str) -> Self {
        Self { detail: bounded(detail), ..self }
    }

    /// With how it was and how it is, without what is secret.
    #[must_use]
    pub fn change(self, before: Option<Value>, after: Option<Value>) -> Self {
        Self { before: before.map(Shown::of), after: after.map(Shown::of), ..self }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
