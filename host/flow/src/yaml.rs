//! YAML as a tree of values with their places.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter, Spanned};

use crate::problem::Problem;

/// Sequences and mappings inside each other: some twenty levels of steps.
const MAX_DEPTH: usize = 64;
/// What all aliases of one document may expand to, in parser events: enough to
/// share a block of settings, far too little for a bomb.
const MAX_ALIASED: usize = 2_000;

/// A place in the text, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl From<Location> for Place {
    fn from(at: Location) -> Self {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self { line: small(at.line()), column: small(at.column()) }
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) data: Data,
}

impl Node {
    fn move_down(&mut self, lines: u32) {
        self.at.line = self.at.line.saturating_add(lines);
        match &mut self.data {
            Data::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Data::Map(entries) => entries.iter_mut().for_each(|(key, item)| {
                key.at.line = key.at.line.saturating_add(lines);
                item.move_down(lines);
            }),
            _ => {}
        }
    }
}

/// A key and where it stands.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) at: Place,
    pub(crate) name: String,
}

#[derive(Debug)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Data {
    /// What it is, for people.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// A scalar as JSON; `None` for lists and mappings.
    pub(crate) fn scalar(&self) -> Option<Value> {
        match self {
            Self::Null => Some(Value::Null),
            Self::Bool(truth) => Some(Value::Bool(*truth)),
            Self::Number(number) => Some(Value::Number(number.clone())),
            Self::Text(text) => Some(Value::String(text.clone())),
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// Reads one document. Empty lines before it only count.
pub(crate) fn parse(text: &str) -> Result<Node, Problem> {
    let before = text.bytes().take_while(|byte| *byte == b'\n').count();
    let lines = u32::try_from(before).unwrap_or(u32::MAX);
    let mut read = parse_all(text.get(before..).unwrap_or_default());
    match &mut read {
        Ok(node) => node.move_down(lines),
        Err(problem) => problem.line = problem.line.saturating_add(lines),
    }
    read
}

fn parse_all(text: &str) -> Result<Node, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| problem(&error))
}

fn problem(error: &Error) -> Problem {
    let place = error.location().map_or(Place { line: 1, column: 1 }, Place::from);
    let message = match error.without_snippet() {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        Error::MultipleDocuments { .. } => "a second document begins here: a workflow is one".to_owned(),
        // The text may quote the file, control characters included.
        other => DefaultMessageFormatter
            .format_message(other)
            .escape_debug()
            .to_string()
            .replace("\\'", "'")
            .replace("\\\"", "\""),
    };
    Problem::new(place.line, place.column, message)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Data>::deserialize(from)?;
        Ok(Self { at: spanned.referenced.into(), data: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_none<E>(self) -> Result<Data, E> {
        Ok(Data::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Data, E> {
        Ok(Data::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Data, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Data, E> {
        Ok(Data::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Data, E> {
        let number = Number::from_f64(number);
        number.map(Data::Number).ok_or_else(|| E::custom("infinity and not-a-number are no JSON numbers"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Data, E> {
        Ok(Data::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Data, E> {
        Ok(Data::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Data, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Data::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push((Key { at: key.referenced.into(), name: key.value }, map.next_value()?));
        }
        Ok(Data::Map(entries))
    }
}
