//! What sender and host both know and the sender sends: tokens and passwords.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host_model::resource::verify::{BasicSpec, BearerSpec};
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};

use crate::key::Proof;
use crate::{Rejected, Request, Secrets};

pub(crate) fn bearer(spec: &BearerSpec, secrets: &Secrets, request: &Request<'_>) -> Result<(), Rejected> {
    let token = match &spec.header {
        Some(header) => request.one(header)?,
        None => authorization(request, "bearer")?,
    };
    let known = secrets.keys(&spec.secrets, |secret| Ok(hash(secret.as_bytes())))?;
    one_of(&known, token.as_bytes())
}

pub(crate) fn basic(spec: &BasicSpec, secrets: &Secrets, request: &Request<'_>) -> Result<(), Rejected> {
    let presented = authorization(request, "basic")?;
    let presented = STANDARD.decode(presented).map_err(|_| Rejected::Malformed(AUTHORIZATION))?;
    let known = |secret: &str| Ok(hash(format!("{}:{secret}", spec.user).as_bytes()));
    one_of(&secrets.keys(&spec.secrets, known)?, &presented)
}

fn authorization<'a>(request: &Request<'a>, scheme: &str) -> Result<&'a str, Rejected> {
    let parts = request.one(&AUTHORIZATION)?.split_once(' ');
    let (said, rest) = parts.ok_or(Rejected::Malformed(AUTHORIZATION))?;
    if said.eq_ignore_ascii_case(scheme) { Ok(rest) } else { Err(Rejected::Malformed(AUTHORIZATION)) }
}

/// Of hashes, so that not even the length of a secret shows. All are compared.
fn one_of(known: &[Proof], presented: &[u8]) -> Result<(), Rejected> {
    let presented = hash(presented);
    let matches = known.iter().filter(|known| presented.shows(known)).count();
    if matches > 0 { Ok(()) } else { Err(Rejected::Credential) }
}

fn hash(bytes: &[u8]) -> Proof {
    digest(&SHA256, bytes).as_ref().to_vec().into()
}
