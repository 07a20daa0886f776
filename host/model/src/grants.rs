//! What a guest may reach. The default is nothing.
//!
//! A request is allowed if the manifest asks for it AND the connection grants
//! it; the operator's policy and the gate for addresses come after, in
//! `host/egress`.

mod path;
mod rule;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::path::{BadPrefix, PathPrefix};
pub use self::rule::{Asking, HttpRule};

/// How an outside system is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
    /// Mail submission, with TLS from `STARTTLS` on (RFC 6409).
    Smtp,
    /// Mail submission over TLS (RFC 8314).
    Smtps,
}

impl Scheme {
    /// The word in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Smtp => "smtp",
            Self::Smtps => "smtps",
        }
    }

    /// The scheme that a URL calls so.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::Smtp, Self::Smtps].into_iter().find(|known| known.as_str() == word)
    }

    /// Whether it takes mail and not requests.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Smtp | Self::Smtps)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Smtp => 587,
            Self::Smtps => 465,
        }
    }
}

/// Where a request goes: scheme, host and port (RFC 6454).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// A lower-case ASCII name, or an address without brackets.
    pub host: String,
    /// The port, default filled in.
    pub port: u16,
}

impl Origin {
    /// The origin of a URL, as the WHATWG parser sees it. `None` for another
    /// scheme, for user information, which only ever hides the host, and for a
    /// name with an empty label at its end: `6..` is a name to some, to others,
    /// who take the dots away, the address 0.0.0.6.
    pub fn of(url: &url::Url) -> Option<Self> {
        let scheme = Scheme::of(url.scheme()).filter(|scheme| !scheme.is_mail())?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = match url.host()? {
            url::Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            url::Host::Ipv4(address) => address.to_string(),
            url::Host::Ipv6(address) => address.to_string(),
        };
        (!host.is_empty() && !host.ends_with('.')).then(|| Self {
            scheme,
            host,
            port: url.port().unwrap_or(scheme.default_port()),
        })
    }

    /// The origin of a mail server's URL: `smtp://mail.example.com:587`.
    pub fn of_mail(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = Scheme::of(scheme).filter(|scheme| scheme.is_mail())?;
        // Read as a web address, since the URL standard leaves other schemes' hosts as they are.
        let url = url::Url::parse(&format!("https://{rest}")).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let named = Self::of(&url).filter(|_| is_bare && !rest.contains('\\'))?;
        // What is written out is the port that counts: 443 too, which the parser takes for none.
        let written = rest.trim_end_matches('/').rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let port = written.map_or(Some(scheme.default_port()), |(_, port)| port.parse().ok())?;
        Some(Self { scheme, host: named.host, port })
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        let bare = *port == scheme.default_port();
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if bare {
            write!(f, "{}://{host}", scheme.as_str())
        } else {
            write!(f, "{}://{host}:{port}", scheme.as_str())
        }
    }
}

/// A host as a grant names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name or address.
    Exact(String),
    /// `*.example.com`: any subdomain, never the apex.
    Below(String),
}

impl HostPattern {
    /// Whether `host` (lower-case ASCII) is meant.
    pub fn allows(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(apex) => {
                host.strip_suffix(apex.as_str()).is_some_and(|head| head.len() > 1 && head.ends_with('.'))
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match other {
            Self::Exact(host) => self.allows(host),
            Self::Below(apex) => self == other || matches!(self, Self::Below(_)) && self.allows(apex),
        }
    }
}

/// Origins that a grant names: `https://api.example.com`, `https://*.example.com`,
/// `http://127.0.0.1:9101`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OriginPattern {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
}

/// A text that is not an origin pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{got}` is not an origin: {why}; write `https://api.example.com`, `https://*.example.com` or `http://host:8080`"
)]
pub struct BadOrigin {
    /// The text, cut to 200 characters.
    pub got: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl OriginPattern {
    /// Whether a request may go there.
    pub fn allows(&self, origin: &Origin) -> bool {
        self.scheme == origin.scheme && self.port == origin.port && self.host.allows(&origin.host)
    }

    /// How it is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is about mail and not about requests.
    pub fn is_mail(&self) -> bool {
        self.scheme.is_mail()
    }

    /// Whether everything that `other` allows is allowed by it.
    pub fn covers(&self, other: &Self) -> bool {
        (self.scheme, self.port) == (other.scheme, other.port) && self.host.covers(&other.host)
    }

    /// Whether there is an origin that both allow.
    pub fn overlaps(&self, other: &Self) -> bool {
        // Two sets of subdomains are apart, or one is in the other.
        self.covers(other) || other.covers(self)
    }

    /// Exactly this origin.
    pub fn exactly(origin: Origin) -> Self {
        Self { scheme: origin.scheme, host: HostPattern::Exact(origin.host), port: origin.port }
    }
}

impl FromStr for OriginPattern {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = |why| BadOrigin { got: text.chars().take(200).collect(), why };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        // What goes before `://` is read again as part of a URL, where `https:/a` is a host.
        if !scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(bad("its scheme is neither http nor https"));
        }
        let (wild, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains(['*', '/', '?', '#', '@', '\\']) {
            return Err(bad("it has more than a scheme, a host and a port"));
        }
        let text = format!("{scheme}://{rest}/");
        let origin = match Origin::of_mail(&text) {
            Some(origin) => origin,
            None => {
                let url = url::Url::parse(&text).map_err(|_| bad("it is not a URL"))?;
                Origin::of(&url)
                    .ok_or_else(|| bad("its scheme is not http, https, smtp or smtps, or it has no host"))?
            }
        };
        if wild && (origin.address().is_some() || !origin.host.contains('.')) {
            return Err(bad("`*.` goes before a domain of at least two labels"));
        }
        let host = if wild { HostPattern::Below(origin.host) } else { HostPattern::Exact(origin.host) };
        Ok(Self { scheme: origin.scheme, host, port: origin.port })
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = BadOrigin;
    fn try_from(text: String) -> Result<Self, BadOrigin> {
        text.parse()
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (star, host) = match &self.host {
            HostPattern::Exact(name) => ("", name),
            HostPattern::Below(apex) => ("*.", apex),
        };
        let origin = Origin { scheme: self.scheme, host: host.clone(), port: self.port }.to_string();
        f.write_str(&origin.replacen("://", &format!("://{star}"), 1))
    }
}

/// What a connection grants, as its tenant writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GrantsSpec {
    /// Where its guest may send requests, and which.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "web_only")]
    pub http: Vec<HttpRule<OriginPattern>>,
    /// Mail servers that its guest may send mail by: `smtp://mail.example.com:587`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "mail_only")]
    pub smtp: Vec<OriginPattern>,
    /// Whether it may keep values.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kv: bool,
}

fn web_only<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HttpRule<OriginPattern>>, D::Error> {
    let rules = Vec::<HttpRule<OriginPattern>>::deserialize(from)?;
    match rules.iter().find(|rule| rule.origin.is_mail()) {
        Some(rule) => Err(D::Error::custom(format!("`{rule}` takes mail: it goes under `smtp`"))),
        None => Ok(rules),
    }
}

fn mail_only<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OriginPattern>, D::Error> {
    let servers = Vec::<OriginPattern>::deserialize(from)?;
    match servers.iter().find(|server| !server.is_mail()) {
        Some(server) => {
            Err(D::Error::custom(format!("`{server}` takes no mail: write `smtp://mail.example.com:587`")))
        }
        None => Ok(servers),
    }
}

/// What one connection may reach: asked for in the manifest and granted by the
/// tenant. `Grants::default()` is nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    asked: Vec<HttpRule<OriginPattern>>,
    granted: Vec<HttpRule<OriginPattern>>,
    asked_mail: Vec<OriginPattern>,
    granted_mail: Vec<OriginPattern>,
    /// Whether it may keep values.
    pub kv: bool,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// The package never asked for it.
    #[error("its manifest does not ask for it under [grants] http{}", but(.0))]
    NotAsked(Vec<HttpRule<OriginPattern>>),
    /// The tenant did not consent to it.
    #[error("the connection does not list it under grants: http{}", but(.0))]
    NotConsented(Vec<HttpRule<OriginPattern>>),
}

/// Why mail is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailNotGranted {
    /// The package never asked for it.
    #[error("its manifest does not ask for it under [grants] smtp")]
    NotAsked,
    /// The tenant did not consent to it.
    #[error("the connection does not list it under grants: smtp")]
    NotConsented,
}

/// What there is for the same origin, if anything: then method or path are what is missing.
fn but(rules: &[HttpRule<OriginPattern>]) -> String {
    let rules: Vec<_> = rules.iter().map(|rule| format!("`{rule}`")).collect();
    if rules.is_empty() { String::new() } else { format!(", only {}", rules.join(" and ")) }
}

impl Grants {
    /// What is both asked for and granted.
    pub fn new(asked: Vec<HttpRule<OriginPattern>>, asks_kv: bool, granted: &GrantsSpec) -> Self {
        let granted_mail = granted.smtp.clone();
        let kv = asks_kv && granted.kv;
        Self { asked, granted: granted.http.clone(), asked_mail: Vec::new(), granted_mail, kv }
    }

    /// The same, and these mail servers are asked for.
    #[must_use]
    pub fn asking_mail(self, asked_mail: Vec<OriginPattern>) -> Self {
        Self { asked_mail, ..self }
    }

    /// The first gate for mail: may it be handed to this server?
    pub fn allows_mail(&self, server: &Origin) -> Result<(), MailNotGranted> {
        let lists = |patterns: &[OriginPattern]| patterns.iter().any(|pattern| pattern.allows(server));
        match (server.scheme.is_mail() && lists(&self.asked_mail), lists(&self.granted_mail)) {
            (true, true) => Ok(()),
            (true, false) => Err(MailNotGranted::NotConsented),
            (false, _) => Err(MailNotGranted::NotAsked),
        }
    }

    /// The first gate: may this request go out?
    pub fn allows(&self, asking: Asking<'_>) -> Result<(), NotGranted> {
        let missing = |rules: &[HttpRule<OriginPattern>]| {
            let same_origin = rules.iter().filter(|rule| rule.origin.allows(asking.origin));
            let allowed = rules.iter().any(|rule| rule.allows(asking));
            (!allowed).then(|| same_origin.cloned().collect())
        };
        if let Some(rules) = missing(&self.asked) {
            Err(NotGranted::NotAsked(rules))
        } else if let Some(rules) = missing(&self.granted) {
            Err(NotGranted::NotConsented(rules))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Option<Origin> {
        Origin::of(&url::Url::parse(url).unwrap())
    }

    #[test]
    fn a_wildcard_stops_at_the_dot() {
        let below: OriginPattern = "https://*.example.com".parse().unwrap();
        assert!(below.allows(&origin("https://api.example.com/x").unwrap()));
        for other in [
            "https://example.com",
            "https://evilexample.com",
            "http://api.example.com",
            "https://api.example.com:444",
        ] {
            assert!(!below.allows(&origin(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn disguises_are_seen_through_before_they_are_compared() {
        let loopback: OriginPattern = "http://127.0.0.1:80".parse().unwrap();
        assert!(loopback.allows(&origin("http://0x7f.1/").unwrap()), "the parser makes one spelling of it");
        assert!(origin("http://user@127.0.0.1/").is_none());
        assert!(origin("ftp://127.0.0.1/").is_none());
        assert_eq!(origin("https://API.example.com./").unwrap().host, "api.example.com");
        // One dot is the root; more are a name that nobody has, and to some an address.
        assert_eq!(origin("https://6../"), None);
    }

    #[test]
    fn what_is_not_an_origin_is_refused_with_a_reason() {
        for bad in [
            "",
            "https:/evil.example://api.example.com",
            "example.com",
            "https://",
            "https://a/b",
            "https://u@a",
            "ftp://a",
            "https://*",
            "https://*.com",
            "https://a*b.com",
            "https://*.127.0.0.1",
        ] {
            assert!(bad.parse::<OriginPattern>().is_err(), "{bad}");
        }
        for good in
            ["https://api.example.com", "https://*.example.com", "http://[::1]:8080", "http://127.0.0.1:9101"]
        {
            assert_eq!(good.parse::<OriginPattern>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn asking_and_granting_must_meet() {
        let rule = |text: &str| serde_json::from_str::<HttpRule<OriginPattern>>(text).unwrap();
        let spec = GrantsSpec {
            http: vec![rule(r#"{"origin":"https://a.example.com","methods":["GET","PUT"],"paths":["/v1"]}"#)],
            kv: true,
            ..GrantsSpec::default()
        };
        let asked = rule(r#"{"origin":"https://*.example.com","methods":["GET","POST"],"paths":["/v1/x"]}"#);
        let grants = Grants::new(vec![asked], false, &spec);
        let allows = |grants: &Grants, method: http::Method, url: &str| {
            let url = url::Url::parse(url).unwrap();
            let (origin, methods) = (Origin::of(&url).unwrap(), [method]);
            let asking = Asking { origin: &origin, path: url.path(), methods: &methods, elsewhere: false };
            grants.allows(asking).map_err(|why| why.to_string())
        };
        let get = http::Method::GET;
        assert_eq!(allows(&grants, get.clone(), "https://a.example.com/v1/x/7?y"), Ok(()));
        let refused = |method: &http::Method, url: &str, want: &str| {
            let why = allows(&grants, method.clone(), url).unwrap_err();
            assert!(why.contains(want), "{why}");
        };
        refused(&get, "https://b.example.com/v1/x", "the connection does not list it under grants: http");
        refused(&get, "https://c.example.org/", "its manifest does not ask for it under [grants] http");
        refused(
            &http::Method::PUT,
            "https://a.example.com/v1/x",
            "manifest does not ask for it under [grants] http, only `https://*.example.com (GET, POST; /v1/x)`",
        );
        refused(
            &http::Method::POST,
            "https://a.example.com/v1/x",
            "under grants: http, only `https://a.example.com (GET, PUT; /v1)`",
        );
        refused(&get, "https://a.example.com/v1", "manifest does not ask for it");
        assert!(!grants.kv, "granted but never asked for");
        assert!(allows(&Grants::default(), get, "https://a.example.com/").is_err());
    }

    #[test]
    fn mail_servers_are_told_from_web_servers_and_from_each_other() {
        let origin = |text: &str| Origin::of_mail(text).map(|origin| origin.to_string());
        for (text, want) in [
            ("smtp://Mail.example.com", Some("smtp://mail.example.com")),
            ("smtp://mail.example.com:587/", Some("smtp://mail.example.com")),
            ("smtps://mail.example.com", Some("smtps://mail.example.com")),
            ("smtp://mail.example.com:443", Some("smtp://mail.example.com:443")),
            ("smtp://mail.example.com:2525", Some("smtp://mail.example.com:2525")),
            ("smtp://0x7f.1:25", Some("smtp://127.0.0.1:25")),
            ("smtp://[::1]:25", Some("smtp://[::1]:25")),
            ("smtp://[::1]", Some("smtp://[::1]")),
            ("smtp://u:p@mail.example.com", None),
            ("smtp://mail.example.com/x", None),
            ("smtp://mail.example.com?x", None),
            ("smtp:\\\\mail.example.com", None),
            ("http://mail.example.com", None),
            ("mail.example.com:587", None),
        ] {
            assert_eq!(origin(text).as_deref(), want, "{text}");
        }
        let pattern = |text: &str| text.parse::<OriginPattern>().unwrap();
        let server = Origin::of_mail("smtp://mail.example.com:587").unwrap();
        assert!(pattern("smtp://*.example.com:587").allows(&server));
        for other in
            ["https://mail.example.com:587", "smtps://mail.example.com:587", "smtp://mail.example.com:25"]
        {
            assert!(!pattern(other).allows(&server), "{other}");
        }
        let spec = GrantsSpec { smtp: vec![pattern("smtp://mail.example.com")], ..GrantsSpec::default() };
        let grants = Grants::new(Vec::new(), false, &spec);
        assert_eq!(grants.allows_mail(&server), Err(MailNotGranted::NotAsked));
        let asked = vec![pattern("smtp://*.example.com")];
        assert_eq!(grants.asking_mail(asked.clone()).allows_mail(&server), Ok(()));
        let ungranted = Grants::default().asking_mail(asked);
        assert_eq!(ungranted.allows_mail(&server), Err(MailNotGranted::NotConsented));
    }
}
