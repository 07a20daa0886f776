//! Where the host puts a credential in a request, or what it makes of it, as a
//! manifest writes it: `place = { … }` with exactly one of the kinds.

use std::collections::BTreeMap;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::template::{Message, MessagePart, Template};
use super::{header_name, optional_header_name};
use crate::name::FieldName;
use crate::resource::verify::{Algorithm, Encoding, SecretEncoding, TimeFormat};

/// Where the host puts a credential in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlaceFile", into = "PlaceFile")]
pub enum Place {
    /// `{ header = "x-api-key", prefix = "Key " }`
    Header {
        /// The header's name; what the guest says for it is replaced.
        header: HeaderName,
        /// What goes before the value.
        prefix: String,
    },
    /// `{ query = "api_key" }`
    Query {
        /// The parameter's name; what the guest says for it is replaced.
        query: String,
    },
    /// `{ basic-user = "account" }`: HTTP basic authentication (RFC 7617).
    Basic {
        /// The config field that holds the user; the credential is the password.
        basic_user: FieldName,
    },
    /// `{ bearer = true }`: `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `{ hmac = { … } }`: each request is signed; the credential is the key.
    Hmac(Box<HmacPlace>),
    /// `{ aws = { region = "…", service = "…" } }`: AWS Signature Version 4.
    Aws(AwsPlace),
    /// `{ client-certificate = true }`: TLS with a certificate and its key,
    /// which are the credential, in PEM.
    ClientCertificate,
    /// `{ oauth2 = { … } }`: access tokens, for which the credential is the
    /// client's secret (RFC 6749).
    Oauth2(Box<Oauth2Place>),
}

/// How tokens are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// For the client itself (RFC 6749, 4.4).
    ClientCredentials,
    /// For somebody who authorizes it, with PKCE (RFC 6749, 4.1; RFC 7636).
    AuthorizationCode,
}

/// How the client shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// By HTTP basic authentication.
    #[default]
    Basic,
    /// In the form itself.
    Body,
}

/// OAuth 2. In the texts `{field}` stands for what a config field says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Oauth2Place {
    /// How tokens are had.
    pub flow: Flow,
    /// Where tokens are had. The grants must allow it.
    pub token_url: Template,
    /// Where people authorize; for `authorization-code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<Template>,
    /// The client's id.
    pub client_id: Template,
    /// How the client shows who it is.
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Further parameters that the server wants, with the request for
    /// authorization or for a client's token: `audience`, `access_type`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// A signature of the request by an HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HmacPlace {
    /// The hash.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How the secret's text gives the key.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
    /// What is signed: text with `{method}`, `{path}`, `{query}`, `{host}`,
    /// `{timestamp}`, `{body}`, `{body-hash}` and `{header:name}`.
    pub message: Message,
    /// The header that takes the signature.
    #[serde(with = "header_name")]
    pub header: HeaderName,
    /// What goes before the signature: `sha256=`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// The header that takes the time that is signed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_header_name")]
    pub timestamp_header: Option<HeaderName>,
    /// How that time is written.
    #[serde(default)]
    pub timestamp_format: TimeFormat,
}

/// AWS Signature Version 4. The secret is `ACCESS-KEY-ID:SECRET-ACCESS-KEY`,
/// or that and `:SESSION-TOKEN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AwsPlace {
    /// `eu-central-1`, or `{region}` for what a config field says.
    pub region: Template,
    /// The service's name in a signature: `s3`, `execute-api`.
    pub service: Template,
    /// The body is not signed, so it need not be read whole first. Only some
    /// services take that, over TLS: S3 does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsigned_payload: bool,
}

/// [`Place`] as it is written.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct PlaceFile {
    #[serde(skip_serializing_if = "Option::is_none", with = "optional_header_name")]
    header: Option<HeaderName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_user: Option<FieldName>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bearer: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hmac: Option<Box<HmacPlace>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<AwsPlace>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    client_certificate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<Box<Oauth2Place>>,
}

impl TryFrom<PlaceFile> for Place {
    type Error = &'static str;

    fn try_from(file: PlaceFile) -> Result<Self, &'static str> {
        let PlaceFile { header, prefix, query, basic_user, bearer, hmac, aws, client_certificate, oauth2 } =
            file;
        if prefix.is_some() && header.is_none() {
            return Err("`prefix` is for a `header`; an `hmac` has its own inside");
        }
        let mut kinds = [
            header.map(|header| Self::Header { header, prefix: prefix.unwrap_or_default() }),
            query.map(|query| Self::Query { query }),
            basic_user.map(|basic_user| Self::Basic { basic_user }),
            bearer.then_some(Self::Bearer),
            hmac.map(Self::Hmac),
            aws.map(Self::Aws),
            client_certificate.then_some(Self::ClientCertificate),
            oauth2.map(Self::Oauth2),
        ]
        .into_iter()
        .flatten();
        match (kinds.next(), kinds.next()) {
            (Some(place), None) => Ok(place),
            _ => Err(
                "a place is exactly one of `header`, `query`, `basic-user`, `bearer = true`, `hmac`, `aws`, `oauth2` and `client-certificate = true`",
            ),
        }
    }
}

impl From<Place> for PlaceFile {
    fn from(place: Place) -> Self {
        let file = Self::default();
        match place {
            Place::Header { header, prefix } => {
                let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
                Self { header: Some(header), prefix, ..file }
            }
            Place::Query { query } => Self { query: Some(query), ..file },
            Place::Basic { basic_user } => Self { basic_user: Some(basic_user), ..file },
            Place::Bearer => Self { bearer: true, ..file },
            Place::Hmac(hmac) => Self { hmac: Some(hmac), ..file },
            Place::Aws(aws) => Self { aws: Some(aws), ..file },
            Place::ClientCertificate => Self { client_certificate: true, ..file },
            Place::Oauth2(oauth2) => Self { oauth2: Some(oauth2), ..file },
        }
    }
}

impl Place {
    /// What is wrong with it in itself; `known` says whether a config field exists.
    pub(super) fn check(&self, known: impl Fn(&FieldName) -> bool) -> Result<(), String> {
        match self {
            Self::Basic { basic_user } if !known(basic_user) => {
                Err(format!("basic-user names the config field `{basic_user}`, which does not exist"))
            }
            Self::Header { prefix, .. } if prefix.chars().any(char::is_control) => {
                Err("the prefix has control characters".to_owned())
            }
            Self::Query { query } if query.is_empty() => Err("the query parameter has no name".to_owned()),
            Self::Hmac(hmac) => hmac.check(),
            Self::Aws(aws) => [&aws.region, &aws.service].into_iter().try_for_each(|text| text.check(&known)),
            Self::Oauth2(oauth2) => oauth2.check(&known),
            _ => Ok(()),
        }
    }
}

/// Parameters of OAuth that the host itself sets.
const OURS: [&str; 12] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "state",
    "scope",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "refresh_token",
];

impl Oauth2Place {
    fn check(&self, known: &impl Fn(&FieldName) -> bool) -> Result<(), String> {
        let texts = [Some(&self.token_url), self.authorize_url.as_ref(), Some(&self.client_id)];
        texts.into_iter().flatten().try_for_each(|text| text.check(known))?;
        match (self.flow, &self.authorize_url) {
            (Flow::AuthorizationCode, None) => {
                return Err(
                    "`authorization-code` needs an `authorize-url`, where people authorize".to_owned()
                );
            }
            (Flow::ClientCredentials, Some(_)) => {
                return Err("`client-credentials` has no `authorize-url`: nobody authorizes".to_owned());
            }
            _ => {}
        }
        if let Some(name) = self.extra.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(format!("`extra` sets `{name}`, which the host itself sets"));
        }
        Ok(())
    }
}

impl HmacPlace {
    fn check(&self) -> Result<(), String> {
        let signs_time = self.message.parts().contains(&MessagePart::Timestamp);
        if self.prefix.chars().any(char::is_control) {
            return Err("the prefix has control characters".to_owned());
        }
        match (&self.timestamp_header, signs_time) {
            (Some(_), false) => {
                Err("`timestamp-header` is sent and not signed: put `{timestamp}` into `message`".to_owned())
            }
            (None, true) => Err(
                "`message` signs a time that nobody is told: name the header that takes it in `timestamp-header`"
                    .to_owned(),
            ),
            (Some(header), true) if *header == self.header => {
                Err("signature and time cannot share one header".to_owned())
            }
            _ => Ok(()),
        }
    }
}
