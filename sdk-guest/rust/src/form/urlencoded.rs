//! `application/x-www-form-urlencoded`, strictly: `form_urlencoded` decodes
//! anything into something, so what is no form is refused before.

use percent_encoding::percent_decode;

use super::Form;
use crate::Error;

pub(super) fn parse(body: &[u8]) -> Result<Form, Error> {
    if matches!(body.first(), Some(b'{' | b'[' | b'<' | b'-')) {
        let text = "the body is no application/x-www-form-urlencoded: it starts as JSON, XML or multipart does; \
                    send the content-type that it has";
        return Err(Error::InvalidInput(text.to_owned()));
    }
    let mut form = Form::default();
    let mut at = 0;
    for pair in body.split(|byte| *byte == b'&') {
        if !pair.is_empty() {
            check(pair, at)?;
            for (name, value) in form_urlencoded::parse(pair) {
                form.push(name.into_owned(), value.into_owned())?;
            }
        }
        at += pair.len() + 1;
    }
    Ok(form)
}

/// `pair` starts at byte `at` of the body.
fn check(pair: &[u8], at: usize) -> Result<(), Error> {
    let wrong = |offset: usize, what: &str| {
        let place = at + offset;
        Err(Error::InvalidInput(format!(
            "the body is no application/x-www-form-urlencoded: {what} at byte {place}"
        )))
    };
    if !pair.contains(&b'=') {
        return wrong(0, "a field without `=`");
    }
    for (offset, byte) in pair.iter().enumerate() {
        let hex = |ahead: usize| pair.get(offset + ahead).is_some_and(u8::is_ascii_hexdigit);
        if *byte == b'%' && !(hex(1) && hex(2)) {
            return wrong(offset, "a `%` without two hexadecimal digits");
        }
        if byte.is_ascii_control() {
            return wrong(offset, "a control character that is not escaped");
        }
    }
    match percent_decode(pair).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => wrong(0, "a field that is not UTF-8"),
    }
}
