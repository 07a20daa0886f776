//! Reading a form, however it was sent: `application/x-www-form-urlencoded`,
//! `multipart/form-data` or a JSON object all become the same [`Form`].
//!
//! A body that is not what its content type says is `invalid-input`, with what
//! is wrong and where: it is never guessed at. Text is UTF-8.

mod json;
mod multipart;
mod urlencoded;

use crate::{Error, Request};

/// More fields than any form for people has; bounds the work that a stranger can ask for.
pub const MAX_FIELDS: usize = 256;

/// The text fields of a form, in the order sent. A name may occur repeatedly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// The first value of this field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(have, _)| *have == name).map(|(_, value)| value)
    }

    /// Every value of this field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(have, _)| *have == name).map(|(_, value)| value)
    }

    /// The field's text without surrounding blanks; `None` if nothing is left.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// As [`Form::text`]; a field that is missing or blank is `invalid-input`.
    pub fn required(&self, name: &str) -> Result<&str, Error> {
        self.text(name).ok_or_else(|| Error::InvalidInput(format!("the field `{name}` is missing or empty")))
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn push(&mut self, name: String, value: String) -> Result<(), Error> {
        if self.fields.len() == MAX_FIELDS {
            return Err(Error::InvalidInput(format!("the form has more than {MAX_FIELDS} fields")));
        }
        self.fields.push((name, value));
        Ok(())
    }
}

/// Reads the request's body as its `content-type` says. Files in a
/// `multipart/form-data` body are checked and left out.
pub fn parse(request: &Request) -> Result<Form, Error> {
    const KNOWN: &str = "application/x-www-form-urlencoded, multipart/form-data or application/json";
    let whole = request
        .header("content-type")
        .ok_or_else(|| Error::InvalidInput(format!("the request has no content-type: send {KNOWN}")))?;
    only_utf8(whole)?;
    match request.headers.media_type().as_deref() {
        Some("application/x-www-form-urlencoded") => urlencoded::parse(&request.body),
        Some("multipart/form-data") => multipart::parse(whole, &request.body),
        Some("application/json") => json::parse(&request.body),
        _ => Err(Error::InvalidInput(format!("the content-type `{}` is no form: send {KNOWN}", cut(whole)))),
    }
}

fn only_utf8(content_type: &str) -> Result<(), Error> {
    let lower = content_type.to_ascii_lowercase();
    match lower.split_once("charset=") {
        Some((_, charset)) if !charset.trim_start_matches('"').starts_with("utf-8") => Err(
            Error::InvalidInput(format!("the content-type `{}` is not UTF-8: send UTF-8", cut(content_type))),
        ),
        _ => Ok(()),
    }
}

/// A stranger's text, short enough for an error.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
