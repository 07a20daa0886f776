//! Injection: the credential enters the request, on the way out.
//!
//! Takes a [`Cleared`] request, which its guest can no longer see or change;
//! gives it back with each credential whose `hosts` name the origin, and what
//! the answer must be scrubbed of. The only caller of `reveal_`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use host_model::name::SecretName;
use host_model::resource::{Connection, Credential, CredentialPlace};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use crate::body::Body;
use crate::error::EgressError;
use crate::gate::{Cleared, belongs_to_host};
use crate::scrub::Needles;
use crate::vault::Vault;

/// The most bytes of a secret that goes into a request: half of what servers
/// take as one header line. Bounds the scrubber too, which is several times as large.
const MAX_INJECTED: usize = 4 << 10;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request that is ready to be sent, and what may not come back.
pub(crate) struct Injected {
    pub(crate) request: Request<Body>,
    /// `None`: no credential went in, so nothing needs to be scrubbed.
    pub(crate) needles: Option<Needles>,
}

/// Puts in every credential that goes to this origin.
pub(crate) async fn inject(
    connection: &Connection,
    vault: &Vault,
    cleared: Cleared,
) -> Result<Injected, EgressError> {
    let Cleared { mut request, origin } = cleared;
    let mut needles: Option<Needles> = None;
    for credential in &connection.credentials {
        // The grants allowed the origin at the first gate; this asks for more, never less.
        if !credential.hosts.iter().any(|pattern| pattern.allows(&origin)) {
            continue;
        }
        let secret = reveal(connection, vault, &credential.secret).await?;
        place(credential, &secret, &mut request, needles.get_or_insert_default())?;
    }
    if needles.is_some() {
        // In a compressed answer an echo could not be seen.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    Ok(Injected { request, needles })
}

async fn reveal(
    connection: &Connection,
    vault: &Vault,
    name: &SecretName,
) -> Result<SecretString, EgressError> {
    let (tenant, connection) = (&connection.tenant, &connection.name);
    let secret = vault.reveal_for_injection(tenant, name).await.map_err(|error| {
        tracing::error!(tenant.id = %tenant, connection.name = %connection, secret.name = %name, %error, "cannot read secret `{name}`");
        EgressError::Other(format!("the host could not read the secret `{name}`; its operator's log says why"))
    })?;
    let secret = secret.ok_or_else(|| {
        EgressError::Denied(format!(
            "connection `{connection}` needs the secret `{name}`, which is not set: `wharf secret set {name}`"
        ))
    })?;
    match secret.expose_secret().len() {
        0..=MAX_INJECTED => Ok(secret),
        size => Err(unfit(name, &format!("has {size} bytes; a request carries at most {MAX_INJECTED}"))),
    }
}

fn place(
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
            let mut pair = format!("{user}:{value}");
            let encoded = BASE64_STANDARD.encode(&pair);
            pair.zeroize();
            needles.add_text(&encoded);
            put_header(name, request, AUTHORIZATION, format!("Basic {encoded}"))
        }
        CredentialPlace::Query(parameter) => put_query(name, request, parameter, value),
    }
}

fn put_header(
    secret: &SecretName,
    request: &mut Request<Body>,
    header: HeaderName,
    mut text: String,
) -> Result<(), EgressError> {
    if belongs_to_host(&header) {
        return Err(EgressError::Denied(format!(
            "the package puts the secret `{secret}` into the header `{header}`, which belongs to the host: its author chooses another in wharf.toml [credentials]"
        )));
    }
    refuse_controls(secret, &text)?;
    let value = HeaderValue::from_str(&text).or_else(|_| HeaderValue::from_bytes(text.as_bytes()));
    text.zeroize();
    let mut value = value.map_err(|_| unfit(secret, "is not a header's value"))?;
    // Keeps it out of every `Debug` print of the headers.
    value.set_sensitive(true);
    request.headers_mut().insert(header, value);
    Ok(())
}

/// What the guest says for the parameter goes; everything else stays byte for byte.
fn put_query(
    secret: &SecretName,
    request: &mut Request<Body>,
    parameter: &str,
    value: &str,
) -> Result<(), EgressError> {
    let uri = request.uri();
    let mut target = format!("{}?", uri.path());
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let same = form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == parameter);
        if !same {
            target.push_str(pair);
            target.push('&');
        }
    }
    target.extend(utf8_percent_encode(parameter, &RESERVED));
    target.push('=');
    target.extend(utf8_percent_encode(value, &RESERVED));
    let mut parts = uri.clone().into_parts();
    // The cause is not passed on: it could quote what it was given.
    let unfit = || unfit(secret, "makes the URL too long");
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| unfit())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| unfit())?;
    Ok(())
}

fn refuse_controls(secret: &SecretName, text: &str) -> Result<(), EgressError> {
    match text.chars().any(char::is_control) {
        true => Err(unfit(secret, "has control characters, perhaps a line end, which a header cannot carry")),
        false => Ok(()),
    }
}

fn unfit(secret: &SecretName, why: &str) -> EgressError {
    EgressError::Denied(format!("the secret `{secret}` {why}: set it anew with `wharf secret set {secret}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::empty_body;

    fn request(uri: &str) -> Request<Body> {
        let mut request = Request::new(empty_body());
        *request.uri_mut() = uri.parse().unwrap();
        request
    }

    fn placed(place: CredentialPlace, secret: &str, uri: &str) -> Result<Request<Body>, EgressError> {
        let credential = Credential { secret: "key".parse().unwrap(), place, hosts: Vec::new() };
        let mut request = request(uri);
        super::place(&credential, &SecretString::from(secret), &mut request, &mut Needles::default())?;
        Ok(request)
    }

    #[test]
    fn a_query_credential_replaces_the_guests_own_and_leaves_the_rest_alone() {
        let check = |uri: &str, want: &str| {
            let request = placed(CredentialPlace::Query("api key".into()), "a&b=c d/é", uri).unwrap();
            assert_eq!(request.uri().to_string(), want);
        };
        let own = "api%20key=a%26b%3Dc%20d%2F%C3%A9";
        check("http://a.example/p", &format!("http://a.example/p?{own}"));
        check("http://a.example/?", &format!("http://a.example/?{own}"));
        check("http://a.example/?x=%41&y", &format!("http://a.example/?x=%41&y&{own}"));
        check(
            "http://a.example/?api+key=1&%61pi%20key=2&x=1&api%20key",
            &format!("http://a.example/?x=1&{own}"),
        );
    }

    #[test]
    fn a_header_credential_is_prefixed_and_prints_as_sensitive() {
        let place = CredentialPlace::Header(AUTHORIZATION, "Bearer ".into());
        let request = placed(place, "hunter22", "http://a.example/").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer hunter22");
        assert!(!format!("{request:?}").contains("hunter22"));
    }

    #[test]
    fn a_basic_credential_is_user_and_password_in_base64() {
        let request = placed(CredentialPlace::Basic("test".into()), "123£", "http://a.example/").unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dGVzdDoxMjPCow==", "the example of RFC 7617");
        assert!(placed(CredentialPlace::Basic("a:b".into()), "x", "http://a.example/").is_err());
    }

    #[test]
    fn a_secret_that_a_header_cannot_carry_is_named_and_not_shown() {
        for place in
            [CredentialPlace::Header(AUTHORIZATION, String::new()), CredentialPlace::Basic("user".into())]
        {
            let error = placed(place, "hunter22\n", "http://a.example/").unwrap_err().to_string();
            assert!(error.contains("`key`") && error.contains("wharf secret set key"), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }

    #[test]
    fn a_manifest_cannot_turn_a_secret_into_framing() {
        for header in ["host", "content-length", "transfer-encoding", "connection", "proxy-authorization"] {
            let place = CredentialPlace::Header(header.parse().unwrap(), String::new());
            let error = placed(place, "chunked", "http://a.example/").unwrap_err().to_string();
            assert!(error.contains("belongs to the host"), "{error}");
        }
    }
}
