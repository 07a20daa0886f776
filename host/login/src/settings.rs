//! What the operator says of an issuer.

use std::net::IpAddr;

use secrecy::SecretString;
use url::{Host, Url};

/// The longest that the operator may name a claim, a scope or a client.
const MAX_TEXT: usize = 255;

/// What the operator says of an issuer. [`Settings::check`] before use.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's name for it, which is part of every person's subject.
    pub name: String,
    /// Its address, exactly as it calls itself.
    pub issuer: String,
    /// Who this host is to it.
    pub client_id: String,
    /// What proves that, if the issuer asks for more than PKCE.
    pub client_secret: Option<SecretString>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim whose values say what somebody may do: a name, or a JSON
    /// pointer like `/realm_access/roles`.
    pub roles_claim: String,
    /// The claim that is shown as somebody's name.
    pub name_claim: String,
}

/// What is wrong with the settings of an issuer: which key, why, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct BadSettings {
    key: &'static str,
    why: String,
}

impl Settings {
    /// Whether they can be used.
    pub fn check(&self) -> Result<(), BadSettings> {
        let bad = |key, why: String| Err(BadSettings { key, why });
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 63 || !self.name.chars().all(is_name) {
            return bad(
                "name",
                format!("`{}` is not 1 to 63 lower-case letters, digits and hyphens", self.name),
            );
        }
        match Url::parse(&self.issuer) {
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                return bad("issuer", format!("`{}` has a query or a fragment: leave it out", self.issuer));
            }
            Ok(url) if is_safe(&url) => {}
            Ok(_) => {
                let why = format!("`{}` is neither `https://…` nor `http://` on loopback", self.issuer);
                return bad("issuer", why);
            }
            Err(error) => {
                let why = format!("`{}` is no URL ({error}): write `https://id.example.com`", self.issuer);
                return bad("issuer", why);
            }
        }
        let texts = [
            ("client-id", &self.client_id),
            ("roles-claim", &self.roles_claim),
            ("name-claim", &self.name_claim),
        ];
        let scopes = self.scopes.iter().map(|scope| ("scopes", scope));
        for (key, text) in texts.into_iter().chain(scopes) {
            let fits = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
            if !fits || key == "scopes" && text.contains(' ') {
                return bad(key, format!("`{text}` is empty, too long, or not one word or line"));
            }
        }
        Ok(())
    }
}

/// Whether nobody on the way can read or change what goes there.
pub(crate) fn is_safe(url: &Url) -> bool {
    let named = !url.username().is_empty() || url.password().is_some();
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        // A name may be anything's; `localhost` is loopback by RFC 6761.
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    !named && (url.scheme() == "https" || url.scheme() == "http" && loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn settings(issuer: &str) -> Settings {
        Settings {
            name: "corp".to_owned(),
            issuer: issuer.to_owned(),
            client_id: "wharf".to_owned(),
            client_secret: None,
            scopes: vec!["email".to_owned()],
            roles_claim: "groups".to_owned(),
            name_claim: "email".to_owned(),
        }
    }

    #[test]
    fn an_issuer_is_https_or_on_loopback() {
        for good in [
            "https://id.example.com",
            "https://id.example.com/realms/a",
            "http://127.0.0.1:9",
            "http://[::1]:9",
        ] {
            assert_eq!(settings(good).check(), Ok(()), "{good}");
        }
        for bad in [
            "http://id.example.com",
            "http://10.0.0.1",
            "https://u:p@id.example.com",
            "https://id.example.com?x=1",
            "ftp://a",
            "corp",
            "",
        ] {
            let error = settings(bad).check().unwrap_err().to_string();
            assert!(error.starts_with("issuer: "), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_a_client_or_a_scope_is_named_by_its_key() {
        let good = settings("https://id.example.com");
        for (key, bad) in [
            ("name", Settings { name: "Corp/x".to_owned(), ..good.clone() }),
            ("client-id", Settings { client_id: String::new(), ..good.clone() }),
            ("scopes", Settings { scopes: vec!["a b".to_owned()], ..good.clone() }),
            ("roles-claim", Settings { roles_claim: String::new(), ..good.clone() }),
        ] {
            assert!(bad.check().unwrap_err().to_string().starts_with(key), "{key}");
        }
    }
}
