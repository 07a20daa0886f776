//! One issuer: where somebody logs in there, and who they are when they come back.

use std::error::Error;
use std::sync::Arc;

use chrono::TimeDelta;
use host_model::clock::{Clock, Timestamp};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm as Alg,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenClaims,
    IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, TokenResponse,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::claims::Person;
use crate::settings::{Settings, is_safe};
use crate::wire::{Outside, Wire};

/// How far the issuer's clock and ours may differ: both are set by NTP, and an
/// ID token comes to us within a second of being made.
const SKEW: TimeDelta = TimeDelta::seconds(10);
/// How long what an issuer says of itself is believed: a key that it withdrew
/// is not believed for longer.
const MAX_AGE: TimeDelta = TimeDelta::minutes(5);
/// How often it is asked at most, whoever asks us: for a key that we do not
/// know, and after it gave no good answer.
const PAUSE: TimeDelta = TimeDelta::seconds(5);
/// The longest code that is shown to it.
const MAX_CODE: usize = 4 << 10;

/// The most characters of a reason, which is shown in a line or a page.
const MAX_WHY: usize = 300;

/// The algorithms that a key of the issuer alone can sign with. Whatever
/// somebody else could make, `none` and what a shared secret signs, is not here.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// Claims that the standard does not name: roles are among them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
struct Others(Map<String, Value>);
impl AdditionalClaims for Others {}

type Jwe = CoreJweContentEncryptionAlgorithm;
type Fields = IdTokenFields<Others, EmptyExtraTokenFields, CoreGenderClaim, Jwe, Alg>;
type OurClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    Jwe,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why nobody is logged in. The texts may be shown to whoever tried.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It cannot be asked now.
    #[error(
        "the issuer `{issuer}` cannot be asked: {why}; try again, and if it stays so tell whoever runs this host"
    )]
    Unreachable {
        /// Its name.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// What it said, or what was said to be its word, proves nobody.
    #[error("what came from the issuer `{issuer}` proves nothing: {why}; begin the login anew")]
    Refused {
        /// Its name.
        issuer: String,
        /// What is wrong.
        why: String,
    },
    /// It does not say what they are called.
    #[error(
        "the issuer `{issuer}` does not say what you are called (claim `{claim}`); let whoever runs this host look at its `scopes` and `name-claim`"
    )]
    NoName {
        /// Its name.
        issuer: String,
        /// What would say it.
        claim: String,
    },
    /// It does not vouch for the address.
    #[error("the issuer `{issuer}` has not verified your email address: verify it there, then log in again")]
    Unverified {
        /// Its name.
        issuer: String,
    },
}

impl LoginError {
    fn unreachable(settings: &Settings, why: impl Into<String>) -> Self {
        Self::Unreachable { issuer: settings.name.clone(), why: cut(&why.into()) }
    }

    pub(crate) fn refused(settings: &Settings, why: impl Into<String>) -> Self {
        Self::Refused { issuer: settings.name.clone(), why: cut(&why.into()) }
    }
}

/// A login that was begun.
pub struct Begun {
    /// The issuer's page, with everything that it needs.
    pub url: String,
    /// What comes back from there, and tells this login from all others.
    pub state: String,
    /// What stays here until then.
    pub kept: Kept,
}

/// What only this host knows of a login that was begun. Used once.
pub struct Kept {
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    since: Timestamp,
    back: RedirectUrl,
}

/// What is known of it, and since when.
#[derive(Default)]
struct Known {
    metadata: Option<(Timestamp, Arc<CoreProviderMetadata>)>,
    failed: Option<(Timestamp, String)>,
    /// When it was asked for a key that we did not know.
    searched: Option<Timestamp>,
}

/// An issuer.
pub struct Issuer {
    settings: Settings,
    wire: Wire,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

impl Issuer {
    /// One of these settings, which were checked. Nothing is asked yet.
    pub fn new(settings: Settings, outside: Arc<dyn Outside>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, wire: Wire(outside), clock, known: Mutex::default() }
    }

    /// The operator's name for it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// How it calls itself.
    pub fn url(&self) -> &str {
        &self.settings.issuer
    }

    /// Begins a login, from which the issuer sends people back to `back`.
    pub async fn begin(&self, back: &str) -> Result<Begun, LoginError> {
        let metadata = self.metadata(None).await?;
        let back = RedirectUrl::new(back.to_owned())
            .map_err(|error| LoginError::unreachable(&self.settings, format!("`{back}`: {error}")))?;
        let client = self.client(&metadata, &back);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.settings.scopes.iter().filter(|scope| *scope != "openid");
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes.cloned().map(Scope::new))
            .set_pkce_challenge(challenge)
            .url();
        if !is_safe(&url) {
            return Err(LoginError::unreachable(&self.settings, "its login page is not https"));
        }
        let kept = Kept { nonce, verifier, since: self.clock.now(), back };
        Ok(Begun { url: url.into(), state: state.into_secret(), kept })
    }

    /// Who came back with this code.
    pub async fn finish(&self, kept: Kept, code: &str) -> Result<Person, LoginError> {
        let refused = |why: String| LoginError::refused(&self.settings, why);
        if code.is_empty() || code.len() > MAX_CODE {
            return Err(refused("it gave no code".to_owned()));
        }
        let Kept { nonce, verifier, since, back } = kept;
        let metadata = self.metadata(None).await?;
        let client = self.client(&metadata, &back);
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let exchange = exchange.map_err(|_| self.down("it names no token endpoint"))?;
        let answer = exchange.set_pkce_verifier(verifier).request_async(&self.wire).await;
        let answer = answer.map_err(|error| match error {
            // Its words are a stranger's; the code of the error is from a list.
            RequestTokenError::ServerResponse(said) => refused(format!("it answers `{}`", said.error())),
            RequestTokenError::Request(error) => self.down(root(&error)),
            RequestTokenError::Parse(error, _) => refused(format!("its answer cannot be read ({error})")),
            RequestTokenError::Other(why) => self.down(why),
        })?;
        let token = answer.id_token().ok_or_else(|| refused("it gave no ID token".to_owned()))?;
        let claims = match self.verified(token, &metadata, &nonce, since) {
            // It may sign with a key by now that it did not have when we asked.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            )) => {
                let fresh = self.metadata(Some(&metadata)).await?;
                self.verified(token, &fresh, &nonce, since)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| refused(root(&error)))?;
        let claims = serde_json::to_value(claims).map_err(|error| refused(error.to_string()))?;
        Person::read(&self.settings, &claims)
    }

    fn verified<'t>(
        &self,
        token: &'t IdToken<Others, CoreGenderClaim, Jwe, Alg>,
        metadata: &CoreProviderMetadata,
        nonce: &Nonce,
        since: Timestamp,
    ) -> Result<&'t IdTokenClaims<Others, CoreGenderClaim>, ClaimsVerificationError> {
        let client_id = ClientId::new(self.settings.client_id.clone());
        let now = self.clock.now();
        // Never with the client's secret: nothing that it could sign is believed.
        let verifier = openidconnect::IdTokenVerifier::new_public_client(
            client_id.clone(),
            metadata.issuer().clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(|| now - SKEW)
        .set_issue_time_verifier_fn(|issued| {
            let in_time = (since - SKEW..=now + SKEW).contains(&issued);
            in_time.then_some(()).ok_or_else(|| format!("issued at {issued}, not during this login"))
        });
        let claims = token.claims(&verifier, nonce)?;
        match claims.authorized_party() {
            Some(party) if *party != client_id => {
                Err(ClaimsVerificationError::InvalidAudience("given to another client (`azp`)".to_owned()))
            }
            _ => Ok(claims),
        }
    }

    /// What the issuer says of itself; asked anew if that is old, or if it is
    /// just what did not do.
    async fn metadata(
        &self,
        instead_of: Option<&Arc<CoreProviderMetadata>>,
    ) -> Result<Arc<CoreProviderMetadata>, LoginError> {
        // One asks, the others wait for its answer.
        let mut known = self.known.lock().await;
        let known = &mut *known;
        let now = self.clock.now();
        if let Some((since, metadata)) = &known.metadata {
            let is_lacking = instead_of.is_some_and(|instead_of| Arc::ptr_eq(instead_of, metadata));
            let search = is_lacking && known.searched.is_none_or(|at| (now - at).abs() >= PAUSE);
            if !search && (now - *since).abs() < MAX_AGE {
                return Ok(Arc::clone(metadata));
            }
            if search {
                known.searched = Some(now);
            }
        }
        if let Some((at, why)) = &known.failed
            && (now - *at).abs() < PAUSE
        {
            return Err(self.down(why.clone()));
        }
        let url =
            IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| self.down(error.to_string()))?;
        match CoreProviderMetadata::discover_async(url, &self.wire).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                (known.metadata, known.failed) = (Some((now, Arc::clone(&metadata))), None);
                Ok(metadata)
            }
            Err(error) => {
                let why = root(&error);
                tracing::warn!(issuer = self.name(), why, "issuer `{}` cannot be asked: {why}", self.name());
                (known.metadata, known.failed) = (None, Some((now, why.clone())));
                Err(self.down(why))
            }
        }
    }

    fn client(&self, metadata: &CoreProviderMetadata, back: &RedirectUrl) -> OurClient {
        let Settings { client_id, client_secret, .. } = &self.settings;
        let secret =
            client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let methods = metadata.token_endpoint_auth_methods_supported();
        // Basic is what the standard takes for said if nothing is.
        let in_body =
            methods.is_some_and(|methods| !methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        OurClient::from_provider_metadata(metadata.clone(), ClientId::new(client_id.clone()), secret)
            .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
            .set_redirect_uri(back.clone())
    }

    fn down(&self, why: impl Into<String>) -> LoginError {
        LoginError::unreachable(&self.settings, why)
    }
}

/// Parts of it may be the issuer's own words.
fn cut(why: &str) -> String {
    why.chars().take(MAX_WHY).collect()
}

/// The last cause is the one that tells.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
