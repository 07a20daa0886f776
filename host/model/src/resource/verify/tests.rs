use serde_json::{Value, json};

use super::*;

/// `CN=Partner CA`, valid for a hundred years; nobody has its key.
const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBgjCCASegAwIBAgIUaf2ZVjvK9D5F9K2TwBZkIH2UIPMwCgYIKoZIzj0EAwIw\n\
FTETMBEGA1UEAwwKUGFydG5lciBDQTAgFw0yNjExMjEyMjUxMzZaGA8yMTI2MTAy\n\
ODIyNTEzNlowFTETMBEGA1UEAwwKUGFydG5lciBDQTBZMBMGByqGSM49AgEGCCqG\n\
SM49AwEHA0IABOmLiTa0H6amorC1PlLAjtDa6mx9vt0WxjGzrg1JaS/rNhzLGBb4\n\
Y/4C1CegyZ0zTCXdSjMWSVUEem0xyVaASQ2jUzBRMB0GA1UdDgQWBBQ64OvpuK6U\n\
rE5zdqFcKuDrZnNc/TAfBgNVHSMEGDAWgBQ64OvpuK6UrE5zdqFcKuDrZnNc/TAP\n\
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDgmUXF/32MxSrPxJvw\n\
O3pN8OKxckXz7pDNCFW19vMSeAIhALNHBswMX9DC2Hhd5qSrXY8gxxZE3WkWU74W\n\
c8leo+Lx\n\
-----END CERTIFICATE-----\n";

fn read(value: Value) -> Result<Verify, String> {
    let verify: Verify = serde_json::from_value(value).map_err(|error| error.to_string())?;
    verify.check().map_err(|error| error.to_string())?;
    Ok(verify)
}

#[test]
fn every_scheme_is_written_as_it_was_read() {
    for written in [
        json!("none"),
        json!({ "standard-webhooks": { "secrets": ["a", "b"], "tolerance-s": 60, "headers": "svix" } }),
        json!({ "github": { "secrets": ["a"] } }),
        json!({ "stripe": { "secrets": ["a"], "tolerance-s": 300 } }),
        json!({ "slack": { "secrets": ["a"], "tolerance-s": 300 } }),
        json!({ "hmac": {
            "secrets": ["a"], "secret-encoding": "base64", "algorithm": "sha512", "header": "x-sign",
            "prefix": "v1=", "encoding": "base64url", "signed": "{id}.{timestamp}.{body}",
            "timestamp": { "header": "x-time", "format": "unix-ms", "tolerance-s": 300 },
            "event-id": { "header": "x-id" },
        } }),
        json!({ "bearer": { "secrets": ["a"], "header": "x-gitlab-token" } }),
        json!({ "basic": { "user": "crm", "secrets": ["a"] } }),
        json!({ "mtls": { "authorities": [AUTHORITY] } }),
        json!({ "mtls": {
            "authorities": [AUTHORITY, AUTHORITY], "subject": "CN=crm, O=Acme\\, Inc.",
            "names": ["dns:crm.example", "uri:spiffe://acme/crm", "email:crm@acme.example"],
            "keys": [format!("sha256:{}", "0".repeat(64))],
        } }),
        json!({ "ip-ranges": ["192.30.252.0/22", "2606:50c0::/32", "203.0.113.7/32"] }),
        json!({ "all": [{ "github": { "secrets": ["a"] } }, { "ip-ranges": ["10.0.0.0/8"] }] }),
    ] {
        let verify = read(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&verify).unwrap(), written);
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let check = |written: Value, want: &str| {
        let error = read(written.clone()).expect_err(&written.to_string());
        assert!(error.contains(want), "{written}: {error}");
    };
    let hmac = |more: Value| {
        let mut spec = json!({ "secrets": ["a"], "header": "x-sign" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "hmac": spec })
    };
    check(json!({ "github": { "secrets": [] } }), "1 to 4");
    check(json!({ "github": { "secrets": ["a", "b", "c", "d", "e"] } }), "1 to 4");
    check(json!({ "github": { "secret": "a" } }), "unknown field");
    check(json!({ "stripe": { "secrets": ["a"], "tolerance-s": 0 } }), "1 to 3600");
    check(json!({ "stripe": { "secrets": ["a"], "tolerance-s": 3601 } }), "1 to 3600");
    let mtls = |more: Value| {
        let mut spec = json!({ "authorities": [AUTHORITY] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "mtls": spec })
    };
    check(json!({ "mtls": {} }), "missing field `authorities`");
    check(json!({ "mtls": { "authorities": [] } }), "1 to 4");
    check(json!({ "mtls": { "authorities": ["partner-ca"] } }), "one certificate in PEM");
    check(mtls(json!({ "authorities": [AUTHORITY.repeat(2)] })), "one certificate in PEM");
    check(mtls(json!({ "authorities": [AUTHORITY.replace("MIIB", "MIIC")] })), "no X.509 certificate");
    check(mtls(json!({ "authorities": [AUTHORITY.replace("END", "end")] })), "damaged PEM");
    let with_key = format!("{AUTHORITY}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    check(mtls(json!({ "authorities": [with_key] })), "take that key for known");
    check(mtls(json!({ "subject": "crm" })), "write `CN=crm");
    check(mtls(json!({ "subject": "XX=crm" })), "`XX` is no attribute");
    check(mtls(json!({ "subject": "CN=" })), "no value");
    check(mtls(json!({ "subject": "CN=a\\" })), "backslash");
    check(mtls(json!({ "names": ["crm.example"] })), "dns:crm.example");
    check(mtls(json!({ "names": ["dns:*.example"] })), "no wildcard");
    check(mtls(json!({ "names": ["email:crm"] })), "is no name");
    check(mtls(json!({ "keys": ["c0ffee"] })), "is not a digest");
    check(mtls(json!({ "keys": vec![format!("sha256:{}", "0".repeat(64)); 17] })), "at most 16");
    check(json!({ "ip-ranges": [] }), "1 to 100");
    check(json!({ "ip-ranges": ["10.0.0.1/8"] }), "bits below its prefix");
    check(json!({ "ip-ranges": ["::ffff:10.0.0.1"] }), "write that");
    check(json!({ "ip-ranges": ["github"] }), "192.30.252.0/22");
    check(json!({ "basic": { "user": "a:b", "secrets": ["a"] } }), "colon");
    check(json!({ "all": [] }), "1 to 4 schemes");
    check(json!({ "all": ["none"] }), "not `none`");
    check(json!({ "all": [{ "all": [{ "ip-ranges": ["10.0.0.0/8"] }] }] }), "not another `all`");
    check(json!({ "all": [{ "github": { "secrets": [] } }] }), "1 to 4");
    check(hmac(json!({ "signed": "{timestamp}.{body}" })), "go together");
    check(hmac(json!({ "timestamp": { "header": "x-time" } })), "not signed shows nothing");
    check(hmac(json!({ "signed": "{timestamp}" })), "`{body}` once");
    check(hmac(json!({ "signed": "{body}{body}" })), "`{body}` once");
    check(hmac(json!({ "signed": "{body}{url}" })), "only `body`");
    check(hmac(json!({ "signed": "{body" })), "not closed");
    check(hmac(json!({ "signed": "{id}.{body}" })), "takes an `event-id`");
    check(hmac(json!({ "signed": "{id}{body}", "event-id": { "header": "x-id" } })), "between it");
    check(hmac(json!({ "signed": "{body}-{id}", "event-id": { "header": "x-id" } })), "between it");
    check(hmac(json!({ "header": "x y" })), "invalid HTTP header name");
}

#[test]
fn a_mapped_address_is_in_the_range_of_the_one_that_it_maps() {
    let range: IpRange = "192.30.252.0/22".parse().unwrap();
    assert!(range.contains("::ffff:192.30.252.7".parse().unwrap()));
    assert!(!range.contains("192.31.0.1".parse().unwrap()));
    assert!(!range.contains("2606:50c0::1".parse().unwrap()));
}

#[test]
fn a_subject_is_its_attributes_in_any_order_and_a_comma_in_one_is_escaped() {
    let attributes = |text: &str| text.parse::<Subject>().unwrap().attributes().to_vec();
    assert_eq!(attributes("CN=crm, O=Acme, OU=a, OU=b"), attributes("ou=b,o=Acme,OU = a,2.5.4.3=crm"));
    assert_ne!(attributes("CN=crm, O=Acme"), attributes("CN=crm\\, O=Acme"));
    assert_ne!(attributes("OU=a"), attributes("OU=a, OU=a"));
    assert_eq!(attributes("CN=a\\\\\\,b=c"), [("2.5.4.3".to_owned(), "a\\,b=c".to_owned())]);
}
