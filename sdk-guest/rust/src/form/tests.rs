use super::*;
use crate::Headers;

const MULTIPART: &str = "multipart/form-data; boundary=\"x-1\"";

fn request(content_type: &str, body: &[u8]) -> Request {
    let mut headers = Headers::default();
    headers.push("Content-Type", content_type);
    Request {
        endpoint: "inquiry".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers,
        body: body.to_vec(),
    }
}

fn form(content_type: &str, body: &str) -> Vec<(String, String)> {
    parse(&request(content_type, body.as_bytes())).unwrap().fields
}

/// The text of the refusal.
fn refusal(content_type: &str, body: &[u8]) -> String {
    match parse(&request(content_type, body)) {
        Err(Error::InvalidInput(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn parts(parts: &[(&str, &str)]) -> String {
    let body: String = parts
        .iter()
        .map(|(disposition, value)| {
            format!("--x-1\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
        })
        .collect();
    format!("{body}--x-1--\r\n")
}

#[test]
fn the_three_ways_to_send_a_form_give_the_same_fields() {
    let want: Vec<(String, String)> =
        [("message", "Grüße & mehr"), ("name", "Ada L."), ("tag", "a"), ("tag", "b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    let body = "message=Gr%C3%BC%C3%9Fe+%26+mehr&name=Ada%20L.&tag=a&tag=b";
    assert_eq!(form("application/x-www-form-urlencoded; charset=UTF-8", body), want);
    let body = r#"{"name":"Ada L.","message":"Grüße & mehr","tag":["a","b"],"none":null}"#;
    assert_eq!(form("application/json", body), want);
    let body = parts(&[
        ("name=\"message\"", "Grüße & mehr"),
        ("name=\"name\"", "Ada L."),
        ("name=\"cv\"; filename=\"\"", ""),
        ("name=\"tag\"", "a"),
        ("name=\"tag\"", "b"),
    ]);
    assert_eq!(form(MULTIPART, &body), want);
}

#[test]
fn a_blank_field_counts_as_missing() {
    let form = parse(&request("application/x-www-form-urlencoded", b"name=+&email=+a%40b.de+")).unwrap();
    assert_eq!(form.required("email"), Ok("a@b.de"));
    for name in ["name", "phone"] {
        let text = form.required(name).unwrap_err().to_string();
        assert!(text.contains(&format!("`{name}` is missing or empty")), "{text}");
    }
}

#[test]
fn a_body_that_is_no_urlencoded_form_is_refused_with_the_place() {
    let check = |body: &[u8], want: &str| {
        let text = refusal("application/x-www-form-urlencoded", body);
        assert!(text.contains(want), "{text}");
    };
    check(br#"{"name":"a=b"}"#, "starts as JSON");
    check(b"a=1&name", "a field without `=` at byte 4");
    check(b"a=1&b=%4", "a `%` without two hexadecimal digits at byte 6");
    check(b"a=1&b=%ff", "a field that is not UTF-8 at byte 4");
    check(b"a=1&b=\0", "a control character that is not escaped at byte 6");
}

#[test]
fn a_body_that_is_no_multipart_is_refused_with_the_place() {
    let check = |body: &[u8], want: &str| {
        let text = refusal(MULTIPART, body);
        assert!(text.starts_with("the body is no multipart/form-data: ") && text.contains(want), "{text}");
    };
    let whole = parts(&[("name=\"a\"", "1"), ("name=\"b\"", "2")]);
    assert!(parse(&request(MULTIPART, whole.as_bytes())).is_ok());
    for cut in 0..whole.len() - "--\r\n".len() {
        refusal(MULTIPART, &whole.as_bytes()[..cut]);
    }
    check(&whole.as_bytes()[..whole.len() - 12], "part 2");
    check(b"name=Ada", "incomplete");
    check(parts(&[("name=\"a\"", "1"), ("nothing", "2")]).as_bytes(), "part 2 has no name");
    let mut bytes = parts(&[("name=\"a\"", "?")]).into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[at] = 0xff;
    check(&bytes, "the field `a` is not UTF-8");
    assert!(refusal("multipart/form-data", b"").contains("boundary not found"));
}

#[test]
fn a_body_that_is_no_json_object_is_refused_with_the_place() {
    let check = |body: &[u8], want: &str| {
        let text = refusal("application/json", body);
        assert!(text.contains(want), "{text}");
    };
    check(b"name=Ada", "not JSON: expected ident at line 1 column 2");
    check(b"[1]", "no object");
    check(br#"{"a":{"b":1}}"#, "the field `a` is nested");
    check(br#"{"a":[[1]]}"#, "the field `a` is nested");
}

#[test]
fn another_content_type_or_charset_is_named() {
    assert!(refusal("text/plain", b"a=1").contains("`text/plain` is no form"));
    let text = refusal("application/x-www-form-urlencoded; charset=iso-8859-1", b"a=1");
    assert!(text.contains("send UTF-8"), "{text}");
    let mut none = request("", b"a=1");
    none.headers = Headers::default();
    assert!(parse(&none).unwrap_err().to_string().contains("no content-type"));
}

#[test]
fn a_form_has_a_bounded_number_of_fields() {
    let body = |count| vec!["a=1"; count].join("&").into_bytes();
    assert!(parse(&request("application/x-www-form-urlencoded", &body(MAX_FIELDS))).is_ok());
    let text = refusal("application/x-www-form-urlencoded", &body(MAX_FIELDS + 1));
    assert!(text.contains("more than 256 fields"), "{text}");
}
