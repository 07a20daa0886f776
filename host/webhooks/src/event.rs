//! What tells one event from another.

use std::fmt;

use host_model::digest::Digest;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// What tells one event from another, of any length at its sender's: its
/// digest. Events with the same one are the same event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId(Digest);

impl EventId {
    /// The id that the sender gave it.
    pub(crate) fn given(id: &str) -> Self {
        Self(Digest::of(format!("id\0{id}").as_bytes()))
    }

    /// Its signature as it was computed, if the sender gave no id: the same
    /// bytes again are a replay.
    pub(crate) fn signature(tag: &[u8]) -> Self {
        Self(Digest::of(&[b"signature\0", tag].concat()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A field of a JSON object: a text that is not empty, or a whole number.
/// Nothing else of the object is kept in memory.
pub(crate) fn json_field(body: &[u8], name: &str) -> Option<String> {
    struct Find<'a>(&'a str);

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(String),
        Number(i64),
        Other(IgnoredAny),
    }

    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<String>()? {
                if key != self.0 {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                found = match map.next_value::<Value>()? {
                    Value::Text(text) if !text.is_empty() => Some(text),
                    Value::Number(number) => Some(number.to_string()),
                    Value::Text(_) | Value::Other(_) => None,
                };
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(body);
    (&mut json).deserialize_map(Find(name)).ok().flatten()
}
