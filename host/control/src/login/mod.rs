//! People log in: a browser goes to an issuer and back, and whoever began gets
//! a token in the role that the issuer's claims are mapped to.
//!
//! Takes a client's challenge and the address that it waits at; gives that
//! address a code, and for the code and the challenge's verifier a token.
//!
//! Invariants
//! - A login is taken up once, in time, by the browser that began it; its code
//!   once, in time, by the client that began it. Neither is worth anything alone.
//! - A code goes to loopback, or to this host's own console: never elsewhere.
//! - What is begun is bounded, and nobody's flood ends another's login.

mod back;
mod grant;
mod pages;
mod waiting;

use std::time::Duration;

use host_login::{Issuer, Kept, Person};
use host_model::digest::Digest;
use host_model::name::TenantId;

use self::back::Back;
pub use self::grant::Rule;
pub use self::pages::router;
use self::waiting::Waiting;
use crate::access::Scope;

/// How long somebody has to log in: long enough to find a second factor.
const TIME: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// How long a client has to fetch its token: it waits for nothing else.
const CODE_TIME: chrono::TimeDelta = chrono::TimeDelta::minutes(1);
/// The most logins that were begun and not come back from.
const MAX_BEGUN: usize = 10_000;
/// The most that wait for their client: each is of somebody whom an issuer knows.
const MAX_CODES: usize = 1_000;

/// An issuer, and what those whom it knows may do.
pub struct Offered {
    /// Who says who somebody is.
    pub issuer: Issuer,
    /// What that gives them; the first that fits counts.
    pub rules: Vec<Rule>,
    /// How long a login lasts.
    pub lasts: Duration,
}

/// Where people log in.
pub struct Logins {
    offered: Vec<Offered>,
    /// Where the outside reaches this host, without a slash at its end.
    public_url: String,
    begun: Waiting<Begun>,
    ready: Waiting<Ready>,
}

/// A login that was begun, until its browser comes back.
struct Begun {
    /// Its place in `offered`.
    issuer: usize,
    kept: Kept,
    /// What the browser's cookie hashes to.
    browser: Digest,
    back: Back,
    challenge: String,
    /// The only tenant that is wanted, if one was named.
    tenant: Option<TenantId>,
}

/// Somebody who is logged in, until their client fetches the token.
struct Ready {
    person: Person,
    scope: Scope,
    challenge: String,
    lasts: Duration,
}

impl Logins {
    /// Logins by these issuers, if any, at a host that is reached there.
    pub fn new(offered: Vec<Offered>, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let (begun, ready) = (Waiting::new(MAX_BEGUN, TIME), Waiting::new(MAX_CODES, CODE_TIME));
        Self { offered, public_url, begun, ready }
    }

    /// The issuer with this name, or the only one.
    fn find(&self, name: Option<&str>) -> Result<(usize, &Offered), String> {
        let names: Vec<_> = self.offered.iter().map(|offered| offered.issuer.name()).collect();
        let listed = names.join(", ");
        let found = match (name, self.offered.as_slice()) {
            (_, []) => return Err(
                "nobody logs in to this host: its config has no [[oidc]]; ask whoever runs it for a token"
                    .to_owned(),
            ),
            (None, [only]) => Some((0, only)),
            (None, _) => return Err(format!("log in by which issuer? There are {listed}")),
            (Some(name), all) => all.iter().enumerate().find(|(_, offered)| offered.issuer.name() == name),
        };
        found.ok_or_else(|| format!("there is no such issuer; there are {listed}"))
    }

    /// Where an issuer sends people back to. One for each, so that what one
    /// issuer gives is never shown to another.
    fn callback(&self, issuer: &str) -> String {
        format!("{}{}/{issuer}", self.public_url, pages::CALLBACK)
    }
}
