//! What a package asks for and what a tenant allows, one thing at a time, so
//! that the difference of two can be told to a person, who consents to it or
//! does not.
//!
//! Invariants
//! - What one ask covers needs no further consent: nothing that it lets
//!   through would be refused by the wider one.
//! - Its words hold nothing that a stranger wrote freely: names of the narrow
//!   grammar, and hosts as they are dialled (`xn--…`), not as they look.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grants::{GrantsSpec, HttpRule, Origin, OriginPattern};
use crate::manifest::{Manifest, OriginWish, Place, Role};
use crate::name::{EndpointName, FieldName, SecretName};
use crate::resource::{ConnectionSpec, resolve_wish};

/// The most asks of one manifest and of one connection's `grants:`: several
/// times what a person can read before consenting; they are compared pair by pair.
pub const MAX_ASKS: usize = 1_000;

/// One thing that a package asks for, or that a tenant allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// To send requests.
    Http(HttpRule<OriginPattern>),
    /// To send mail by a server.
    Smtp(OriginPattern),
    /// To keep values.
    Kv,
    /// To have a stored secret sent somewhere, by the host.
    Secret {
        /// Which one.
        secret: SecretName,
        /// Where it goes.
        to: OriginPattern,
    },
    /// To call an endpoint of whoever plays a role.
    Call {
        /// The role.
        role: FieldName,
        /// The endpoint.
        endpoint: EndpointName,
    },
}

impl Ask {
    /// Whether who allows this has allowed `other`.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(wide), Self::Http(rule)) => wide.covers(rule),
            (Self::Smtp(wide), Self::Smtp(server)) => wide.covers(server),
            (Self::Secret { secret, to }, Self::Secret { secret: other, to: there }) => {
                secret == other && to.covers(there)
            }
            (one, other) => one == other,
        }
    }
}

/// In words that a tenant's admin understands.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(HttpRule { origin, methods, paths }) => {
                let methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
                match methods.as_slice() {
                    [] => write!(f, "send any request to {origin}")?,
                    some => write!(f, "send {} requests to {origin}", some.join(", "))?,
                }
                let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
                match paths.as_slice() {
                    [] => Ok(()),
                    [one] => write!(f, "{}/…", one.trim_end_matches('/')),
                    several => write!(f, " below {}", several.join(", ")),
                }
            }
            Self::Smtp(server) => write!(f, "send mail through {server}"),
            Self::Kv => f.write_str("keep values"),
            Self::Secret { secret, to } => write!(f, "have the secret `{secret}` sent to {to}"),
            Self::Call { role, endpoint } => {
                write!(f, "call endpoint `{endpoint}` of the connection in role `{role}`")
            }
        }
    }
}

/// What a package asks for when it is set up like this.
pub fn asks(manifest: &Manifest, spec: &ConnectionSpec) -> BTreeSet<Ask> {
    let config = with_defaults(manifest, &spec.config);
    let origin = |wish: &OriginWish| resolve_wish(wish, &config);
    let rules = manifest.grants.http.iter().filter_map(|rule| rule.map(origin));
    let http = rules.flat_map(|rule| rule.apart().collect::<Vec<_>>()).map(Ask::Http);
    let smtp = manifest.grants.smtp.iter().filter_map(origin).map(Ask::Smtp);
    let secrets = manifest.credentials.iter().flat_map(|(name, credential)| {
        let given = spec.credentials.get(name);
        let to = credential.hosts.iter().filter_map(origin).chain(tokens_from(&credential.place, &config));
        to.filter_map(move |to| Some(Ask::Secret { secret: given?.secret.clone(), to }))
    });
    http.chain(smtp).chain(secrets).chain(manifest.grants.kv.then_some(Ask::Kv)).collect()
}

/// Where a client's secret is exchanged for tokens.
fn tokens_from(place: &Place, config: &BTreeMap<FieldName, Value>) -> Option<OriginPattern> {
    let Place::Oauth2(oauth) = place else { return None };
    let url = oauth.token_url.fill(config).parse().ok()?;
    Origin::of(&url).map(OriginPattern::exactly)
}

/// What a workflow's package asks for.
pub fn calls(manifest: &Manifest) -> BTreeSet<Ask> {
    let of = |(role, it): (&FieldName, &Role)| {
        let call = |endpoint: &EndpointName| Ask::Call { role: role.clone(), endpoint: endpoint.clone() };
        it.endpoints.iter().map(call).collect::<Vec<_>>()
    };
    manifest.roles.iter().flat_map(of).collect()
}

/// What of `asked` nothing in `allowed` covers, without what something else of it covers.
pub fn beyond(asked: &BTreeSet<Ask>, allowed: &BTreeSet<Ask>) -> BTreeSet<Ask> {
    let is_new = |ask: &&Ask| !allowed.iter().any(|wide| wide.covers(ask));
    let new: Vec<_> = asked.iter().filter(is_new).collect();
    // Of two that cover each other, the first.
    let narrower = |ask: &Ask, wide: &Ask| wide.covers(ask) && (!ask.covers(wide) || wide < ask);
    let widest = |ask: &&&Ask| !new.iter().any(|wide| narrower(ask, wide));
    new.iter().filter(widest).map(|ask| Ask::clone(ask)).collect()
}

impl Manifest {
    /// How many asks it comes to at most.
    pub(crate) fn width(&self) -> usize {
        let http: usize = self.grants.http.iter().map(HttpRule::width).sum();
        // Each goes to its hosts, and one that gets tokens to who gives them.
        let secrets: usize = self.credentials.values().map(|credential| credential.hosts.len() + 1).sum();
        let calls: usize = self.roles.values().map(|role| role.endpoints.len()).sum();
        http + self.grants.smtp.len() + secrets + calls
    }
}

impl GrantsSpec {
    /// What is allowed by it, one thing at a time.
    pub fn asks(&self) -> BTreeSet<Ask> {
        let http = self.http.iter().flat_map(HttpRule::apart).map(Ask::Http);
        http.chain(self.smtp.iter().cloned().map(Ask::Smtp)).chain(self.kv.then_some(Ask::Kv)).collect()
    }

    /// How many asks that is at most.
    pub fn width(&self) -> usize {
        self.http.iter().map(HttpRule::width).sum::<usize>() + self.smtp.len()
    }

    /// The same, and these are allowed too.
    #[must_use]
    pub fn and<'a>(mut self, asks: impl IntoIterator<Item = &'a Ask>) -> Self {
        for ask in asks {
            match ask {
                Ask::Http(rule) => self.http.push(rule.clone()),
                Ask::Smtp(server) => self.smtp.push(server.clone()),
                Ask::Kv => self.kv = true,
                // Where secrets go is the manifest's to say, whom a workflow calls the set-up's.
                Ask::Secret { .. } | Ask::Call { .. } => {}
            }
        }
        self
    }

    /// Whether a request to some origin of the pattern may go out by it.
    pub fn reaches(&self, origin: &OriginPattern) -> bool {
        self.http.iter().any(|rule| rule.origin.overlaps(origin))
            || self.smtp.iter().any(|server| server.overlaps(origin))
    }
}

fn with_defaults(manifest: &Manifest, config: &BTreeMap<FieldName, Value>) -> BTreeMap<FieldName, Value> {
    let defaults = manifest.config.iter().filter_map(|(name, field)| Some((name, field.default.as_ref()?)));
    defaults.chain(config).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
