//! AWS Signature Version 4, by AWS's own library.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as aws_sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use host_model::clock::Timestamp;
use host_model::name::SecretName;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request};

use super::place::unfit;
use crate::body::Body;
use crate::error::EgressError;
use crate::scrub::Needles;

/// What the host says about itself in a signed request; a guest's own would
/// be signed too, or contradict it.
const OURS: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
];

/// Where a signature holds.
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// `None`: the body is not signed.
    pub(super) body: Option<&'a Bytes>,
}

/// Signs a request. `value` is `ACCESS-KEY-ID:SECRET-ACCESS-KEY[:SESSION-TOKEN]`.
pub(super) fn sign(
    secret: &SecretName,
    value: &str,
    scope: &Scope<'_>,
    request: &mut Request<Body>,
    now: Timestamp,
    needles: &mut Needles,
) -> Result<(), EgressError> {
    let mut words = value.trim().splitn(3, ':');
    let (Some(id), Some(key)) = (words.next(), words.next()) else {
        return Err(unfit(secret, "is not `ACCESS-KEY-ID:SECRET-ACCESS-KEY`, nor that and `:SESSION-TOKEN`"));
    };
    let token = words.next();
    needles.add_secret(key);
    if let Some(token) = token {
        needles.add_secret(token);
    }
    for header in OURS {
        request.headers_mut().remove(header);
    }

    let identity = Credentials::new(id, key, token.map(str::to_owned), None, "wharf").into();
    let mut settings = SigningSettings::default();
    if scope.service == "s3" {
        // S3 takes paths as they are, and wants the body's hash said.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    if scope.service == "s3" || scope.body.is_none() {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let wrong = |why: &dyn std::fmt::Display| {
        EgressError::InvalidRequest(format!("the request cannot be signed for AWS: {why}"))
    };
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(|error| wrong(&error))?;
    let headers: Result<Vec<(&str, &str)>, _> =
        request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?))).collect();
    let headers = headers.map_err(|_: http::header::ToStrError| wrong(&"a header is not ASCII"))?;
    let body = scope.body.map_or(SignableBody::UnsignedPayload, |body| SignableBody::Bytes(body));
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers.into_iter(), body)
        .map_err(|error| wrong(&error))?;
    let (signed, signature) = aws_sign(signable, &params.into()).map_err(|error| wrong(&error))?.into_parts();
    // Whoever has it can send the same request again, for some minutes.
    needles.add_secret(&signature);
    for (name, value) in signed.headers() {
        let name = HeaderName::try_from(name).map_err(|error| wrong(&error))?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| unfit(secret, "has characters that no header carries"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The vectors of AWS's "Signature Version 4 test suite" and of S3's
    //! "Signature Calculations for the Authorization Header".

    use super::*;
    use crate::body::empty_body;

    const SUITE: &str = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const S3: &str = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn signed(
        value: &str,
        (service, time): (&str, &str),
        request: http::request::Builder,
        body: Option<&'static [u8]>,
    ) -> Request<Body> {
        let mut request = request.body(empty_body()).unwrap();
        let body = body.map(Bytes::from_static);
        let scope = Scope { region: "us-east-1", service, body: body.as_ref() };
        let now = time.parse().unwrap();
        sign(&"key".parse().unwrap(), value, &scope, &mut request, now, &mut Needles::default()).unwrap();
        request
    }

    fn signature(request: &Request<Body>) -> &str {
        request.headers()["authorization"].to_str().unwrap().rsplit_once("Signature=").unwrap().1
    }

    fn suite(method: &str, path: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Request<Body> {
        let mut request =
            Request::builder().method(method).uri(format!("https://example.amazonaws.com{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        signed(SUITE, ("service", "2015-08-30T12:36:00Z"), request, Some(body))
    }

    #[test]
    fn the_vectors_of_the_test_suite_come_out() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let own = ("my-header1", "value1");
        for (name, request, want) in [
            (
                "get-vanilla",
                suite("GET", "/", &[], b""),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                suite("GET", "/?Param2=value2&Param1=value1", &[], b""),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-utf8",
                suite("GET", "/ሴ", &[], b""),
                "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ),
            (
                "post-vanilla",
                suite("POST", "/", &[], b""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-header-key-case",
                suite("POST", "/", &[own], b""),
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "post-x-www-form-urlencoded",
                suite("POST", "/", &[form], b"Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(signature(&request), want, "{name}");
        }
    }

    #[test]
    fn the_examples_of_s3_come_out() {
        let at = ("s3", "2013-05-24T00:00:00Z");
        let get = |path: &str| Request::get(format!("https://examplebucket.s3.amazonaws.com{path}"));
        let object = signed(S3, at, get("/test.txt").header("range", "bytes=0-9"), Some(b""));
        assert_eq!(signature(&object), "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
        let put = Request::put("https://examplebucket.s3.amazonaws.com/test%24file.text")
            .header("date", "Fri, 24 May 2013 00:00:00 GMT")
            .header("x-amz-storage-class", "REDUCED_REDUNDANCY");
        assert_eq!(
            signature(&signed(S3, at, put, Some(b"Welcome to Amazon S3."))),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        let lifecycle = signed(S3, at, get("/?lifecycle"), Some(b""));
        assert_eq!(signature(&lifecycle), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        let list = signed(S3, at, get("/?max-keys=2&prefix=J"), Some(b""));
        assert_eq!(signature(&list), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn an_unsigned_body_is_said_to_be_one_and_a_session_is_named() {
        let value = format!("{S3}:session-token");
        let at = ("s3", "2013-05-24T00:00:00Z");
        let request = Request::put("https://examplebucket.s3.amazonaws.com/a")
            .header("x-amz-date", "mine")
            .header("authorization", "mine");
        let request = signed(&value, at, request, None);
        assert_eq!(request.headers()["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
        assert_eq!(request.headers()["x-amz-security-token"], "session-token");
        assert_eq!(request.headers()["x-amz-date"], "20130524T000000Z", "in place of the guest's own");
        assert!(!format!("{request:?}").contains("session-token"), "it prints as sensitive");
    }

    #[test]
    fn a_value_that_is_no_key_pair_is_refused_and_not_shown() {
        let mut request = Request::new(empty_body());
        let scope = Scope { region: "r", service: "s", body: None };
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        let key = "key".parse().unwrap();
        let error = sign(&key, "hunter22", &scope, &mut request, now, &mut Needles::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("ACCESS-KEY-ID:") && !error.contains("hunter22"), "{error}");
    }
}
