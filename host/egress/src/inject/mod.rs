//! Injection: the credential enters the request, on the way out.
//!
//! Takes a [`Cleared`] request, which its guest can no longer see or change;
//! gives it back with each credential whose `hosts` name the origin, and what
//! the answer must be scrubbed of. The only caller of `reveal_`.
//!
//! Invariants
//! - Values go in first, signatures are made last, over what is sent.
//! - Whatever could be shown to the origin again is something to scrub.

mod certificate;
mod hmac;
mod place;
mod sigv4;

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use host_model::clock::Clock;
use host_model::digest::Digest;
use host_model::grants::{Origin, Scheme};
use host_model::name::SecretName;
use host_model::resource::{Connection, Credential, CredentialPlace};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use self::certificate::Identity;
use self::place::{put_header, put_query, refuse_controls, unfit};
use crate::body::{Body, empty_body, full_body};
use crate::error::EgressError;
use crate::gate::Cleared;
use crate::oauth::Oauth;
use crate::scrub::Needles;
use crate::vault::Vault;

/// The most bytes of a secret that goes into a request: half of what servers
/// take as one header line. Bounds the scrubber too, which is several times as large.
const MAX_INJECTED: usize = 4 << 10;

/// What it takes to put credentials into requests.
pub(crate) struct Injector {
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) oauth: Arc<Oauth>,
}

/// A request that is ready to be sent, and what may not come back.
pub(crate) struct Injected {
    pub(crate) request: Request<Body>,
    /// `None`: no credential went in, so nothing needs to be scrubbed.
    pub(crate) needles: Option<Needles>,
    /// Who to be in the TLS handshake.
    pub(crate) identity: Option<Identity>,
}

impl Injector {
    /// Puts in every credential that goes to this origin. A body that is
    /// signed is read whole first, up to `body_bytes`.
    pub(crate) async fn inject(
        &self,
        connection: &Arc<Connection>,
        cleared: Cleared,
        body_bytes: u64,
    ) -> Result<Injected, EgressError> {
        let Cleared { request, origin } = cleared;
        let mut injected = Injected { request, needles: None, identity: None };
        let mut signatures = Vec::new();
        for credential in &connection.credentials {
            // The grants allowed the origin at the first gate; this asks for more, never less.
            if !credential.hosts.iter().any(|pattern| pattern.allows(&origin)) {
                continue;
            }
            let needles = injected.needles.get_or_insert_default();
            if let CredentialPlace::Oauth2(oauth) = &credential.place {
                let grant = self.oauth.grant(connection, credential, oauth).await?;
                needles.add_secret(&grant.access_token);
                grant.refresh_token.iter().for_each(|token| needles.add_secret(token));
                if let Ok(secret) = self.oauth.client_secret(connection, credential).await {
                    needles.add_secret(secret.expose_secret());
                }
                put_bearer(&credential.secret, &mut injected.request, &grant.access_token)?;
                continue;
            }
            let secret = reveal(connection, &self.vault, &credential.secret).await?;
            match &credential.place {
                CredentialPlace::ClientCertificate => {
                    if origin.scheme != Scheme::Https {
                        return Err(EgressError::Denied(format!(
                            "a client certificate is shown over TLS only: `{origin}` must be `https`"
                        )));
                    }
                    let pem = secret.expose_secret();
                    injected.identity = Some(certificate::identity(&credential.secret, pem)?);
                }
                CredentialPlace::Hmac(_) | CredentialPlace::Aws { .. } => {
                    fits_a_request(&credential.secret, &secret)?;
                    signatures.push((credential, secret));
                }
                _ => {
                    fits_a_request(&credential.secret, &secret)?;
                    put(credential, &secret, &mut injected.request, needles)?;
                }
            }
        }
        if let Some(needles) = &mut injected.needles {
            // In a compressed answer an echo could not be seen.
            injected.request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let reads_body = signatures.iter().any(|(credential, _)| credential.place.reads_body());
            let body = match reads_body {
                true => hold_body(&mut injected.request, body_bytes).await?,
                false => Bytes::new(),
            };
            for (credential, secret) in &signatures {
                self.sign(credential, secret, &mut injected.request, &body, needles)?;
            }
        }
        Ok(injected)
    }

    /// As whom a connection asks this origin, as a digest of its secrets and
    /// tokens; `None` without any. Signatures are not part of it, for each is new.
    pub(crate) async fn principal(
        &self,
        connection: &Arc<Connection>,
        origin: &Origin,
    ) -> Result<Option<Digest>, EgressError> {
        let mut shown = None;
        for credential in &connection.credentials {
            if !credential.hosts.iter().any(|pattern| pattern.allows(origin)) {
                continue;
            }
            let value = match &credential.place {
                CredentialPlace::Oauth2(oauth) => {
                    let grant = self.oauth.grant(connection, credential, oauth).await?;
                    SecretString::from(grant.access_token.as_str())
                }
                _ => reveal(connection, &self.vault, &credential.secret).await?,
            };
            let value = Digest::of(value.expose_secret().as_bytes());
            shown.get_or_insert_with(String::new).push_str(&format!("{}\0{value}\0", credential.name));
        }
        Ok(shown.map(|shown| Digest::of(shown.as_bytes())))
    }

    fn sign(
        &self,
        credential: &Credential,
        secret: &SecretString,
        request: &mut Request<Body>,
        body: &Bytes,
        needles: &mut Needles,
    ) -> Result<(), EgressError> {
        let (name, value, now) = (&credential.secret, secret.expose_secret(), self.clock.now());
        needles.add_secret(value);
        match &credential.place {
            CredentialPlace::Hmac(hmac) => hmac::sign(name, value, hmac, request, body, now, needles),
            CredentialPlace::Aws { region, service, unsigned_payload } => {
                let body = (!unsigned_payload).then_some(body);
                sigv4::sign(name, value, &sigv4::Scope { region, service, body }, request, now, needles)
            }
            _ => Ok(()),
        }
    }
}

/// Reads a body whole, and leaves it in the request to be sent as well.
async fn hold_body(request: &mut Request<Body>, limit: u64) -> Result<Bytes, EgressError> {
    let body = std::mem::replace(request.body_mut(), empty_body());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let body = Limited::new(body, limit).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
        true => EgressError::InvalidRequest(format!(
            "the request's body is signed and larger than {limit} bytes, the call's bound (bounds: body-bytes) or the connection's (egress: request-bytes)"
        )),
        false => EgressError::Other(format!("the request's body broke off: {error}")),
    })?;
    let body = body.to_bytes();
    *request.body_mut() = full_body(body.clone());
    Ok(body)
}

/// A secret's value, or what is to be done to have one.
pub(crate) async fn reveal(
    connection: &Connection,
    vault: &Vault,
    name: &SecretName,
) -> Result<SecretString, EgressError> {
    let (tenant, connection) = (&connection.tenant, &connection.name);
    let secret = vault.reveal_for_injection(tenant, name).await.map_err(|error| {
        tracing::error!(tenant.id = %tenant, connection.name = %connection, secret.name = %name, %error, "cannot read secret `{name}`");
        EgressError::Other(format!("the host could not read the secret `{name}`; its operator's log says why"))
    })?;
    secret.ok_or_else(|| {
        EgressError::Denied(format!(
            "connection `{connection}` needs the secret `{name}`, which is not set: `wharf secret set {name}`"
        ))
    })
}

fn fits_a_request(name: &SecretName, secret: &SecretString) -> Result<(), EgressError> {
    match secret.expose_secret().len() {
        0..=MAX_INJECTED => Ok(()),
        size => Err(unfit(name, &format!("has {size} bytes; a request carries at most {MAX_INJECTED}"))),
    }
}

/// Puts a value where it goes as it is.
fn put(
    credential: &Credential,
    secret: &SecretString,
    request: &mut Request<Body>,
    needles: &mut Needles,
) -> Result<(), EgressError> {
    let (name, value) = (&credential.secret, secret.expose_secret());
    needles.add_secret(value);
    match &credential.place {
        CredentialPlace::Header(header, prefix) => {
            put_header(name, request, header.clone(), format!("{prefix}{value}"))
        }
        CredentialPlace::Basic(user) if user.contains(':') || user.chars().any(char::is_control) => {
            Err(EgressError::Denied(format!(
                "the user that goes with the secret `{name}` has a colon or control characters, which basic authentication cannot carry: change it in the connection's config"
            )))
        }
        CredentialPlace::Basic(user) => {
            refuse_controls(name, value)?;
            let pair = Zeroizing::new(format!("{user}:{value}"));
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
            needles.add_text(&encoded);
            put_header(name, request, AUTHORIZATION, format!("Basic {}", *encoded))
        }
        CredentialPlace::Query(parameter) => put_query(name, request, parameter, value),
        CredentialPlace::Bearer => put_bearer(name, request, value),
        CredentialPlace::Hmac(_)
        | CredentialPlace::Aws { .. }
        | CredentialPlace::ClientCertificate
        | CredentialPlace::Oauth2(_) => Ok(()),
    }
}

fn put_bearer(name: &SecretName, request: &mut Request<Body>, token: &str) -> Result<(), EgressError> {
    put_header(name, request, AUTHORIZATION, format!("Bearer {token}"))
}

#[cfg(test)]
mod tests;
