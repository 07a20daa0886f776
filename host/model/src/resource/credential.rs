//! Credentials, as used: the manifest's word on where one goes, with the
//! connection's config filled in.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;
use url::Url;

use super::plain_text;
use crate::grants::OriginPattern;
use crate::manifest::{ClientAuth, Flow, HmacPlace, Oauth2Place, Place};
use crate::name::{FieldName, SecretName};

/// A credential, as used: what to put where, for whom. The value is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The manifest's name for it.
    pub name: FieldName,
    /// The stored secret.
    pub secret: SecretName,
    /// Where it goes.
    pub place: CredentialPlace,
    /// To whom.
    pub hosts: Vec<OriginPattern>,
}

/// Where a credential goes, with the config filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialPlace {
    /// A header: name and what goes before the value.
    Header(HeaderName, String),
    /// A query parameter.
    Query(String),
    /// HTTP basic authentication of this user.
    Basic(String),
    /// `Authorization: Bearer …`.
    Bearer,
    /// The key of a signature of each request.
    Hmac(Arc<HmacPlace>),
    /// The keys of an AWS signature of each request.
    Aws {
        /// Where it holds.
        region: String,
        /// For which service.
        service: String,
        /// The body is not signed.
        unsigned_payload: bool,
    },
    /// The certificate and the key of TLS.
    ClientCertificate,
    /// The client's secret, for which there are access tokens.
    Oauth2(Arc<Oauth2>),
}

/// OAuth 2 with the config filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth2 {
    /// How tokens are had.
    pub flow: Flow,
    /// Where from.
    pub token_url: Url,
    /// Where people authorize.
    pub authorize_url: Option<Url>,
    /// Who we are there.
    pub client_id: String,
    /// How we show it.
    pub client_auth: ClientAuth,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What else the server wants to be told.
    pub extra: BTreeMap<String, String>,
}

impl CredentialPlace {
    /// Whether the body must be there to make it.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Hmac(hmac) => hmac.message.reads_body(),
            Self::Aws { unsigned_payload, .. } => !unsigned_payload,
            _ => false,
        }
    }

    /// The manifest's place for this config; or what of it is no URL.
    pub(super) fn resolve(place: &Place, config: &BTreeMap<FieldName, Value>) -> Result<Self, String> {
        Ok(match place {
            Place::Header { header, prefix } => Self::Header(header.clone(), prefix.clone()),
            Place::Query { query } => Self::Query(query.clone()),
            Place::Basic { basic_user } => {
                Self::Basic(config.get(basic_user).map(plain_text).unwrap_or_default())
            }
            Place::Bearer => Self::Bearer,
            Place::Hmac(hmac) => Self::Hmac(Arc::new((**hmac).clone())),
            Place::Aws(aws) => Self::Aws {
                region: aws.region.fill(config),
                service: aws.service.fill(config),
                unsigned_payload: aws.unsigned_payload,
            },
            Place::ClientCertificate => Self::ClientCertificate,
            Place::Oauth2(oauth) => Self::Oauth2(Arc::new(Oauth2::resolve(oauth, config)?)),
        })
    }
}

impl Oauth2 {
    fn resolve(place: &Oauth2Place, config: &BTreeMap<FieldName, Value>) -> Result<Self, String> {
        let url = |key: &str, text: String| match Url::parse(&text) {
            Ok(url) if super::is_web(&url) && url.fragment().is_none() => Ok(url),
            _ => Err(format!("{key} `{text}` is no http or https URL")),
        };
        let authorize_url = place.authorize_url.as_ref();
        Ok(Self {
            flow: place.flow,
            token_url: url("token-url", place.token_url.fill(config))?,
            authorize_url: authorize_url.map(|text| url("authorize-url", text.fill(config))).transpose()?,
            client_id: place.client_id.fill(config),
            client_auth: place.client_auth,
            scopes: place.scopes.clone(),
            extra: place.extra.clone(),
        })
    }
}
