//! Texts with places in them: filled from a connection's config, or from the
//! request that is signed.

use std::collections::BTreeMap;
use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::FieldName;

/// The most bytes of a template: a URL, or what a signature is over, without what fills it.
const MAX_TEMPLATE: usize = 1_000;

/// A text in which `{field}` stands for what a connection's config says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Result<String, FieldName>>);

impl Template {
    /// Every field that it names must exist.
    pub(super) fn check(&self, known: &impl Fn(&FieldName) -> bool) -> Result<(), String> {
        let unknown = self.0.iter().find_map(|part| part.as_ref().err().filter(|field| !known(field)));
        match unknown {
            Some(field) => Err(format!("`{{{field}}}` names no config field")),
            None => Ok(()),
        }
    }

    /// The text for this config. A field that is not set is empty.
    pub fn fill(&self, config: &BTreeMap<FieldName, Value>) -> String {
        let part = |part: &Result<String, FieldName>| match part {
            Ok(text) => text.clone(),
            Err(field) => config.get(field).map(crate::resource::plain_text).unwrap_or_default(),
        };
        self.0.iter().map(part).collect()
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let part = |name: &str| name.parse().map_err(|bad: crate::name::BadName| bad.to_string());
        split(&text)?
            .into_iter()
            .map(|piece| piece.map_or_else(|name| part(name).map(Err), |text| Ok(Ok(text.to_owned()))))
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Ok(text) => f.write_str(text),
            Err(field) => write!(f, "{{{field}}}"),
        })
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

/// What a signature is over, made of parts of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Message(Vec<MessagePart>);

/// One part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessagePart {
    /// This text.
    Text(String),
    /// `GET`.
    Method,
    /// The path, as it is sent.
    Path,
    /// The query without its `?`, as it is sent; empty if there is none.
    Query,
    /// Host, and port if it is not the scheme's own.
    Host,
    /// The time, as it is sent.
    Timestamp,
    /// The body.
    Body,
    /// The body's hash, in lower-case hex, by the algorithm of the signature.
    BodyHash,
    /// A header's value; empty if there is none.
    Header(HeaderName),
}

impl Message {
    /// Its parts, in order.
    pub fn parts(&self) -> &[MessagePart] {
        &self.0
    }

    /// Whether the body must be there to make it.
    pub fn reads_body(&self) -> bool {
        self.0.iter().any(|part| matches!(part, MessagePart::Body | MessagePart::BodyHash))
    }
}

impl TryFrom<String> for Message {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts: Vec<MessagePart> = split(&text)?
            .into_iter()
            .map(|piece| match piece {
                Ok(text) => Ok(MessagePart::Text(text.to_owned())),
                Err("method") => Ok(MessagePart::Method),
                Err("path") => Ok(MessagePart::Path),
                Err("query") => Ok(MessagePart::Query),
                Err("host") => Ok(MessagePart::Host),
                Err("timestamp") => Ok(MessagePart::Timestamp),
                Err("body") => Ok(MessagePart::Body),
                Err("body-hash") => Ok(MessagePart::BodyHash),
                Err(name) => name.strip_prefix("header:").and_then(|name| name.parse().ok()).map(MessagePart::Header).ok_or_else(|| {
                    format!("`{{{name}}}` is no part of a request: write {{method}}, {{path}}, {{query}}, {{host}}, {{timestamp}}, {{body}}, {{body-hash}} or {{header:name}}")
                }),
            })
            .collect::<Result<_, _>>()?;
        if parts.iter().all(|part| matches!(part, MessagePart::Text(_))) {
            return Err("it signs nothing of the request: write at least `{body}`".to_owned());
        }
        Ok(Self(parts))
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        let part = |part: MessagePart| match part {
            MessagePart::Text(text) => text,
            MessagePart::Method => "{method}".to_owned(),
            MessagePart::Path => "{path}".to_owned(),
            MessagePart::Query => "{query}".to_owned(),
            MessagePart::Host => "{host}".to_owned(),
            MessagePart::Timestamp => "{timestamp}".to_owned(),
            MessagePart::Body => "{body}".to_owned(),
            MessagePart::BodyHash => "{body-hash}".to_owned(),
            MessagePart::Header(name) => format!("{{header:{name}}}"),
        };
        message.0.into_iter().map(part).collect()
    }
}

/// Pieces of a text: `Ok` as they stand, `Err` for what is in braces.
fn split(text: &str) -> Result<Vec<Result<&str, &str>>, String> {
    if text.len() > MAX_TEMPLATE {
        return Err(format!("it has {} bytes, the limit is {MAX_TEMPLATE}", text.len()));
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) =
            after.split_once('}').ok_or_else(|| format!("`{text}` has a brace that is not closed"))?;
        if !before.is_empty() {
            pieces.push(Ok(before));
        }
        pieces.push(Err(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Ok(rest));
    }
    Ok(pieces)
}
