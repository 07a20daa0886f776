//! Values that go into a request as they are: headers and query parameters.

use host_model::name::SecretName;
use http::header::HeaderName;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::{Zeroize, Zeroizing};

use crate::body::Body;
use crate::error::EgressError;
use crate::gate::belongs_to_host;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Puts a header, in place of the guest's own.
pub(super) fn put_header(
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
pub(super) fn put_query(
    secret: &SecretName,
    request: &mut Request<Body>,
    parameter: &str,
    value: &str,
) -> Result<(), EgressError> {
    let uri = request.uri();
    // Room for all of it: a text that grew would leave the value behind.
    let room = uri.path().len() + uri.query().map_or(0, str::len) + 3 * (parameter.len() + value.len()) + 4;
    let mut target = Zeroizing::new(String::with_capacity(room));
    target.push_str(uri.path());
    target.push('?');
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
    parts.path_and_query = Some(PathAndQuery::try_from(target.as_str()).map_err(|_| unfit())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| unfit())?;
    Ok(())
}

/// A header carries no control characters, nor does a pair of user and password.
pub(super) fn refuse_controls(secret: &SecretName, text: &str) -> Result<(), EgressError> {
    match text.chars().any(char::is_control) {
        true => Err(unfit(secret, "has control characters, perhaps a line end, which a header cannot carry")),
        false => Ok(()),
    }
}

/// A secret that cannot be used: named, and not shown.
pub(super) fn unfit(secret: &SecretName, why: &str) -> EgressError {
    EgressError::Denied(format!("the secret `{secret}` {why}: set it anew with `wharf secret set {secret}`"))
}
