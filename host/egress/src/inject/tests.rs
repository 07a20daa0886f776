//! Values in their places.

use super::*;

fn request(uri: &str) -> Request<Body> {
    let mut request = Request::new(empty_body());
    *request.uri_mut() = uri.parse().unwrap();
    request
}

fn placed(place: CredentialPlace, secret: &str, uri: &str) -> Result<Request<Body>, EgressError> {
    let credential =
        Credential { name: "key".parse().unwrap(), secret: "key".parse().unwrap(), place, hosts: Vec::new() };
    let mut request = request(uri);
    put(&credential, &SecretString::from(secret), &mut request, &mut Needles::default())?;
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
    check("http://a.example/?api+key=1&%61pi%20key=2&x=1&api%20key", &format!("http://a.example/?x=1&{own}"));
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
