//! Client certificates. That the sender holds the key, the handshake showed;
//! here, at each request, whether one of the connection's own authorities
//! vouches for the certificate now, and whether it is the right one.

use std::time::Duration;

use host_model::clock::Timestamp;
use host_model::digest::Digest;
use host_model::resource::verify::{AltName, MtlsSpec};
use rustls_pki_types::UnixTime;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::{Rejected, Request};

/// The most characters of why a chain is none: it may tell what a stranger
/// wrote into a certificate.
const MAX_WHY: usize = 200;

/// Whether the certificate that was shown with the request is one of the connection's.
pub(crate) fn verify(spec: &MtlsSpec, now: Timestamp, request: &Request<'_>) -> Result<(), Rejected> {
    let [own, between @ ..] = request.certificates else { return Err(Rejected::NoCertificate) };
    let anchors = spec.authorities.iter().map(|it| anchor_from_trusted_cert(it.certificate()));
    let anchors: Vec<_> = anchors.collect::<Result<_, _>>().map_err(|_| Rejected::Policy)?;
    // Before 1970 no certificate is valid.
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.timestamp().try_into().unwrap_or(0)));
    let chained = EndEntityCert::try_from(own).and_then(|certificate| {
        let usage = KeyUsage::client_auth();
        certificate
            .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, between, time, usage, None, None)
            .map(|_| certificate.subject_public_key_info())
    });
    let key = chained.map_err(|why| Rejected::Chain(why.to_string().chars().take(MAX_WHY).collect()))?;
    let (_, certificate) = X509Certificate::from_der(own).map_err(|_| unfit("it cannot be read"))?;
    // webpki takes a certificate that does not say what it is for.
    let usage = certificate.extended_key_usage().ok().flatten();
    if !usage.is_some_and(|usage| usage.value.client_auth) {
        return Err(unfit("it does not say that it is for clients (extended key usage clientAuth)"));
    }
    if spec.subject.as_ref().is_some_and(|want| subject(&certificate).as_deref() != Some(want.attributes())) {
        return Err(unfit("it has another subject"));
    }
    if !spec.names.is_empty() && !has_name(&certificate, &spec.names) {
        return Err(unfit("it has none of the names"));
    }
    if !spec.keys.is_empty() && !spec.keys.contains(&Digest::of(&key)) {
        return Err(unfit("it has another key"));
    }
    Ok(())
}

fn unfit(why: &'static str) -> Rejected {
    Rejected::Certificate(why)
}

/// Sorted, as [`host_model::resource::verify::Subject::attributes`]; none if
/// a value is no text.
fn subject(certificate: &X509Certificate<'_>) -> Option<Vec<(String, String)>> {
    let attribute = |it: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        Some((it.attr_type().to_id_string(), it.as_str().ok()?.to_owned()))
    };
    let mut attributes: Vec<_> =
        certificate.subject().iter_attributes().map(attribute).collect::<Option<_>>()?;
    attributes.sort();
    Some(attributes)
}

fn has_name(certificate: &X509Certificate<'_>, names: &[AltName]) -> bool {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    let is_one = |have: &GeneralName<'_>| {
        names.iter().any(|want| match (want, have) {
            (AltName::Dns(want), GeneralName::DNSName(have)) => have.eq_ignore_ascii_case(want),
            (AltName::Uri(want), GeneralName::URI(have)) => have == want,
            (AltName::Email(want), GeneralName::RFC822Name(have)) => have == want,
            _ => false,
        })
    };
    extension.value.general_names.iter().any(is_one)
}
