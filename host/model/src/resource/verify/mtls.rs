//! Which client certificates a connection takes: who vouches for them, and
//! whose they are.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use super::MAX_KEYS;
use crate::digest::Digest;

/// The most names, and the most keys, of which any one will do.
const MAX_NAMES: usize = 16;
/// The longest PEM of an authority: one with an RSA key of 8192 bits has some 4 KB.
const MAX_PEM: usize = 16 << 10;
/// The longest subject or name.
const MAX_TEXT: usize = 512;

/// Client certificates (mutual TLS).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MtlsSpec {
    /// Authorities of which one must vouch for the certificate: one, or the
    /// old and the new while they change.
    pub authorities: Vec<Authority>,
    /// The certificate's whole subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// Names of which the certificate must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<AltName>,
    /// Digests of public keys (SubjectPublicKeyInfo), of which the certificate must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Digest>,
}

/// A certificate authority's certificate, written in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authority {
    pem: String,
    der: CertificateDer<'static>,
}

/// A subject, written `CN=crm, O=Acme, C=DE`. The order of its parts does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject {
    written: String,
    attributes: Vec<(String, String)>,
}

/// A subject alternative name: `dns:crm.example`, `uri:spiffe://acme/crm`, `email:crm@acme.example`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AltName {
    /// A host, in lower case.
    Dns(String),
    /// A URI, compared as it is written.
    Uri(String),
    /// A mail address, compared as it is written.
    Email(String),
}

/// A text of `mtls` that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("verify: mtls: {0}")]
pub struct BadMtls(String);

impl MtlsSpec {
    pub(super) fn check(&self) -> Result<(), BadMtls> {
        if !(1..=MAX_KEYS).contains(&self.authorities.len()) {
            let have = self.authorities.len();
            return Err(BadMtls(format!("`authorities` lists {have}, it takes 1 to {MAX_KEYS}")));
        }
        if self.names.len() > MAX_NAMES || self.keys.len() > MAX_NAMES {
            return Err(BadMtls(format!("`names` and `keys` take at most {MAX_NAMES} each")));
        }
        Ok(())
    }
}

impl Authority {
    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

impl TryFrom<String> for Authority {
    type Error = BadMtls;

    fn try_from(pem: String) -> Result<Self, BadMtls> {
        let bad = |why: &str| BadMtls(format!("an authority {why}"));
        if pem.len() > MAX_PEM {
            return Err(bad(&format!("has more than {MAX_PEM} bytes: give its own certificate alone")));
        }
        if pem.contains("PRIVATE KEY") {
            return Err(bad(
                "has a private key in it: give its certificate alone, and take that key for known",
            ));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let found = found.map_err(|_| bad("is damaged PEM"))?;
        let Ok([der]) = <[_; 1]>::try_from(found) else {
            return Err(bad(
                "is one certificate in PEM, from `-----BEGIN CERTIFICATE-----` to its END: list each by itself",
            ));
        };
        webpki::anchor_from_trusted_cert(&der).map_err(|_| bad("is no X.509 certificate of version 3"))?;
        Ok(Self { pem, der })
    }
}

impl From<Authority> for String {
    fn from(authority: Authority) -> Self {
        authority.pem
    }
}

impl Subject {
    /// Object identifiers in dotted form, and values; sorted.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }
}

impl FromStr for Subject {
    type Err = BadMtls;

    fn from_str(text: &str) -> Result<Self, BadMtls> {
        let bad = |why: &str| BadMtls(format!("subject: {why}; write `CN=crm, O=Acme, C=DE`"));
        if text.len() > MAX_TEXT {
            return Err(bad("it is too long"));
        }
        let mut attributes = Vec::new();
        for part in parts(text).ok_or_else(|| bad("it ends in a backslash"))? {
            let (name, value) = part.split_once('=').ok_or_else(|| bad("a part has no `=`"))?;
            let oid = oid(name.trim()).ok_or_else(|| bad(&format!("`{}` is no attribute", name.trim())))?;
            let value = unescaped(value.trim());
            if value.is_empty() {
                return Err(bad("a part has no value"));
            }
            attributes.push((oid, value));
        }
        attributes.sort();
        Ok(Self { written: text.to_owned(), attributes })
    }
}

/// The text between commas that no backslash makes part of a value.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!escaped).then_some(parts)
}

fn unescaped(value: &str) -> String {
    let mut escaped = false;
    let literal = |character: &char| {
        escaped = *character == '\\' && !escaped;
        !escaped
    };
    value.chars().filter(literal).collect()
}

/// The names of RFC 4514, and those that `openssl` prints besides.
fn oid(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    let oid = match name.as_str() {
        "CN" => "2.5.4.3",
        "SERIALNUMBER" => "2.5.4.5",
        "C" => "2.5.4.6",
        "L" => "2.5.4.7",
        "ST" => "2.5.4.8",
        "STREET" => "2.5.4.9",
        "O" => "2.5.4.10",
        "OU" => "2.5.4.11",
        "UID" => "0.9.2342.19200300.100.1.1",
        "DC" => "0.9.2342.19200300.100.1.25",
        "EMAILADDRESS" => "1.2.840.113549.1.9.1",
        dotted if dotted.contains('.') && dotted.split('.').all(|it| it.parse::<u64>().is_ok()) => dotted,
        _ => return None,
    };
    Some(oid.to_owned())
}

impl TryFrom<String> for Subject {
    type Error = BadMtls;
    fn try_from(text: String) -> Result<Self, BadMtls> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.written
    }
}

impl FromStr for AltName {
    type Err = BadMtls;

    fn from_str(text: &str) -> Result<Self, BadMtls> {
        let bad = || {
            let got: String = text.chars().take(100).collect();
            BadMtls(format!(
                "`{got}` is no name: write `dns:crm.example` (no wildcard), `uri:spiffe://acme/crm` or `email:crm@acme.example`"
            ))
        };
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let is_name = (1..=MAX_TEXT).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_graphic());
        match kind {
            "dns" if is_name && !name.contains('*') => Ok(Self::Dns(name.to_ascii_lowercase())),
            "uri" if is_name && name.contains(':') => Ok(Self::Uri(name.to_owned())),
            "email" if is_name && name.contains('@') => Ok(Self::Email(name.to_owned())),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Email(name) => write!(f, "email:{name}"),
        }
    }
}

impl TryFrom<String> for AltName {
    type Error = BadMtls;
    fn try_from(text: String) -> Result<Self, BadMtls> {
        text.parse()
    }
}

impl From<AltName> for String {
    fn from(name: AltName) -> Self {
        name.to_string()
    }
}
