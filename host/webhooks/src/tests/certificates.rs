//! Client certificates: made here with `rcgen`, not with what verifies them.

use host_model::digest::Digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PublicKeyData, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// `NOW` is in February 2021.
fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_before = date_time_ymd(2021, 1, 1);
    params.not_after = date_time_ymd(2022, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn authority(name: &str) -> Issuer {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// What the partner's system shows: `CN=crm, O=Acme, Inc.` and three names.
fn crm() -> CertificateParams {
    let mut params = params("crm");
    params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::DnsName("CRM.acme.example".try_into().unwrap()),
        SanType::URI("spiffe://acme/crm".try_into().unwrap()),
        SanType::Rfc822Name("crm@acme.example".try_into().unwrap()),
    ];
    params
}

fn of(params: CertificateParams, issuer: &Issuer) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

fn taking(authorities: &[&Issuer], more: Value) -> Verify {
    let mut spec = json!({ "authorities": authorities.iter().map(|it| pem(it.der())).collect::<Vec<_>>() });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy(json!({ "mtls": spec }))
}

fn shown(policy: &Verify, certificates: &[CertificateDer<'static>], now: i64) -> Result<(), Rejected> {
    let headers = HeaderMap::new();
    let request = Request { headers: &headers, body: b"", peer: None, certificates };
    verify(policy, &Secrets::default(), at(now), &request).map(|_| ())
}

#[test]
fn a_certificate_is_taken_from_one_of_the_connections_own_authorities_alone() {
    let (ours, next, theirs) = (authority("ours"), authority("next"), authority("ours"));
    let policy = taking(&[&ours], json!({}));
    assert_eq!(shown(&policy, &[of(crm(), &ours)], NOW), Ok(()));
    assert_eq!(shown(&policy, &[], NOW), Err(Rejected::NoCertificate));
    let alone = crm().self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let garbage = CertificateDer::from(vec![0x30; 300]);
    let chains = [
        ("another authority of the same name", vec![of(crm(), &theirs)]),
        ("another authority that comes along", vec![of(crm(), &theirs), theirs.der().clone()]),
        ("nobody but itself", vec![alone]),
        ("the authority's own certificate", vec![ours.der().clone()]),
        ("garbage", vec![garbage.clone()]),
        ("garbage before the right one", vec![garbage, of(crm(), &ours)]),
    ];
    for (what, chain) in chains {
        assert!(matches!(shown(&policy, &chain, NOW), Err(Rejected::Chain(_))), "{what}");
    }
    // While the authority changes, either will do; afterwards the new one alone.
    let (old, new) = ([of(crm(), &ours)], [of(crm(), &next)]);
    let both = taking(&[&ours, &next], json!({}));
    assert_eq!((shown(&both, &old, NOW), shown(&both, &new, NOW)), (Ok(()), Ok(())));
    let after = taking(&[&next], json!({}));
    assert!(shown(&after, &old, NOW).is_err() && shown(&after, &new, NOW).is_ok());
}

#[test]
fn what_comes_along_may_vouch_in_between_if_it_is_an_authority() {
    let ours = authority("ours");
    let policy = taking(&[&ours], json!({}));
    let key = || KeyPair::generate().unwrap();
    let between = CertifiedIssuer::signed_by(authority_params("between"), key(), &ours).unwrap();
    let leaf = of(crm(), &between);
    assert_eq!(shown(&policy, &[leaf.clone(), between.der().clone()], NOW), Ok(()));
    assert!(shown(&policy, &[leaf], NOW).is_err());
    // A customer of the authority who plays authority.
    let crm_as_issuer = CertifiedIssuer::signed_by(crm(), key(), &ours).unwrap();
    let chain = [of(crm(), &crm_as_issuer), crm_as_issuer.der().clone()];
    assert!(matches!(shown(&policy, &chain, NOW), Err(Rejected::Chain(_))));
}

#[test]
fn a_certificate_is_good_from_its_first_second_to_its_last_whoever_showed_it_before() {
    let ours = authority("ours");
    let (policy, chain) = (taking(&[&ours], json!({})), [of(crm(), &ours)]);
    let (first, last) = (1_609_459_200, 1_640_995_200); // both 1 January, midnight UTC
    for (now, good) in [(first - 1, false), (first, true), (last, true), (last + 1, false), (-1, false)] {
        assert_eq!(shown(&policy, &chain, now).is_ok(), good, "{now}");
    }
}

#[test]
fn a_certificate_must_say_that_it_is_for_clients() {
    let ours = authority("ours");
    let policy = taking(&[&ours], json!({}));
    let meant = |usages: Vec<ExtendedKeyUsagePurpose>| {
        let mut params = crm();
        params.extended_key_usages = usages;
        shown(&policy, &[of(params, &ours)], NOW)
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    assert_eq!(meant(vec![ServerAuth, ClientAuth]), Ok(()));
    assert!(matches!(meant(vec![ServerAuth]), Err(Rejected::Chain(_))));
    assert!(matches!(meant(vec![Any]), Err(Rejected::Chain(_))));
    assert!(matches!(meant(vec![]), Err(Rejected::Certificate(_))));
}

#[test]
fn what_is_named_must_all_be_so() {
    let ours = authority("ours");
    let key = KeyPair::generate().unwrap();
    let chain = [crm().signed_by(&key, &ours).unwrap().der().clone()];
    let digest = Digest::of(&key.subject_public_key_info()).to_string();
    let check = |more: Value, good: bool| {
        let told = shown(&taking(&[&ours], more.clone()), &chain, NOW);
        assert_eq!(told.is_ok(), good, "{more}: {told:?}");
    };
    check(json!({ "subject": "O=Acme\\, Inc., CN=crm" }), true);
    for other in ["CN=crm", "CN=crm, O=Acme", "CN=crm, O=Acme\\, Inc., C=DE", "CN=CRM, O=Acme\\, Inc."] {
        check(json!({ "subject": other }), false);
    }
    for name in ["dns:crm.ACME.example", "uri:spiffe://acme/crm", "email:crm@acme.example"] {
        check(json!({ "names": [name] }), true);
        check(json!({ "names": ["dns:other.example", name] }), true);
    }
    for name in [
        "dns:acme.example",
        "dns:crm.acme.example.evil",
        "uri:spiffe://acme/crm/2",
        "email:x@acme.example",
        "uri:crm:acme.example",
    ] {
        check(json!({ "names": [name] }), false);
    }
    let other = Digest::of(b"other").to_string();
    check(json!({ "keys": [other, digest] }), true);
    check(json!({ "keys": [other] }), false);
    check(json!({ "names": ["dns:crm.acme.example"], "keys": [other] }), false);
    check(json!({ "names": ["dns:other.example"], "keys": [digest] }), false);
    check(json!({ "subject": "CN=crm", "keys": [digest] }), false);

    // A wildcard in a certificate is a name like any other, and no names are none.
    let mut wild = crm();
    wild.subject_alt_names = vec![SanType::DnsName("*.acme.example".try_into().unwrap())];
    let named = taking(&[&ours], json!({ "names": ["dns:crm.acme.example"] }));
    assert!(shown(&named, &[of(wild, &ours)], NOW).is_err());
    let mut bare = crm();
    bare.subject_alt_names.clear();
    assert!(shown(&named, &[of(bare, &ours)], NOW).is_err());
}

#[test]
fn together_with_a_signature_both_must_hold() {
    let ours = authority("ours");
    let Verify::Mtls(mtls) = taking(&[&ours], json!({})) else { panic!() };
    let github_too = policy(json!({ "github": { "secrets": ["key"] } }));
    let both = Verify::All(vec![github_too, Verify::Mtls(mtls)]);
    let (signed, certificate) = (github("k", "body"), [of(crm(), &ours)]);
    let told = |secret: &str, certificates: &[CertificateDer<'static>]| {
        let secrets = Secrets::new([("key".parse().unwrap(), secret.into())]);
        let request = Request { headers: &signed.headers, body: &signed.body, peer: None, certificates };
        verify(&both, &secrets, at(NOW), &request)
    };
    assert!(told("k", &certificate).unwrap().event.is_some());
    assert_eq!(told("k", &[]).unwrap_err(), Rejected::NoCertificate);
    assert_eq!(told("other", &certificate).unwrap_err(), Rejected::Signature);
}
