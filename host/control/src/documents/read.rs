//! One document into its type, with the line of whatever is wrong.

use std::fmt;
use std::marker::PhantomData;

use host_model::suggest::nearest;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};
use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter, Options};

use super::split::Part;
use super::{Kind, Mistake};

/// Sequences and mappings inside each other; configuration needs ten, some
/// twenty levels of a workflow's steps the rest.
const MAX_DEPTH: usize = 64;
/// What all aliases of one document may expand to, in parser events: enough to
/// share a block of settings, far too little for a bomb.
const MAX_ALIASED: usize = 2_000;

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What a document says it is.
pub(super) fn read_kind(part: &Part<'_>) -> Result<Kind, Mistake> {
    #[derive(Deserialize)]
    struct Head {
        kind: Kind,
    }
    serde_saphyr::from_str_with_options::<Head>(part.text, options())
        .map(|head| head.kind)
        .map_err(|error| mistake(part, &error))
}

/// A document as the type of its kind.
pub(super) fn read<T: DeserializeOwned>(part: &Part<'_>) -> Result<T, Mistake> {
    serde_saphyr::with_deserializer_from_str_with_options(part.text, options(), |from| {
        WithoutKind(PhantomData).deserialize(from)
    })
    .map_err(|error| mistake(part, &error))
}

fn mistake(part: &Part<'_>, error: &Error) -> Mistake {
    let line = error.location().map_or(part.line, |place| part.before + place.line().max(1));
    Mistake { line: Some(line), column: None, message: explain(error.without_snippet()) }
}

fn explain(error: &Error) -> String {
    let unknown = |what, got: &str, known: &[&'static str]| {
        let near = nearest(got, known.iter().copied());
        let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        format!("unknown {what} `{got}`, expected one of `{}`{hint}", known.join("`, `"))
    };
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        Error::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        // The text may quote the file, control characters included.
        other => DefaultMessageFormatter
            .format_message(other)
            .escape_debug()
            .to_string()
            .replace("\\'", "'")
            .replace("\\\"", "\""),
    }
}

/// Deserialises a `T` from a mapping that also has `kind`, which `T` does not know.
struct WithoutKind<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for WithoutKind<T> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for WithoutKind<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(SkipKind(map)))
    }
}

struct SkipKind<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for SkipKind<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if key != "kind" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}
