//! A list of headers, as requests and answers carry it.

use crate::bindings::connector::wharf::types::types::Header;

/// Headers in order. Names are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Headers(pub(crate) Vec<Header>);

impl Headers {
    /// The first value of this name, if it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).and_then(|(_, value)| {
            // A value that is not UTF-8 is readable through `iter`.
            std::str::from_utf8(value).ok()
        })
    }

    /// Names and raw values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|header| (header.name.as_str(), header.value.as_slice()))
    }

    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.0.push(Header { name: name.into(), value: value.into() });
    }

    /// The media type of `content-type`, without its parameters, in lower case.
    pub fn media_type(&self) -> Option<String> {
        let whole = self.get("content-type")?;
        Some(whole.split(';').next().unwrap_or(whole).trim().to_ascii_lowercase())
    }
}
