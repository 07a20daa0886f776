//! The guard: whether a schema that a stranger wrote can only cause bounded work.
//!
//! Takes a JSON value, gives the [`Cost`] of checking data against it, or why
//! it is refused. Nothing is compiled before.
//!
//! Invariants
//! - How many subschemas apply to one place of the data is bounded, whatever
//!   the data is, through references, recursion and branches ([`spread`]).
//! - How deep subschemas nest is bounded, so is the stack.
//! - What the guard does itself is bounded by [`MAX_UNFOLDED`].

mod graph;
mod pattern;
mod spread;

pub(crate) use self::pattern::MAX_PATTERN;
use serde_json::Value;

/// The most bytes of a schema as JSON: a value of the store less what goes around it.
pub const MAX_SCHEMA: usize = 63 << 10;
/// The deepest that a schema's JSON may nest: ten objects inside each other,
/// each with a list of alternatives, need forty.
pub const MAX_DEPTH: usize = 64;
/// The most subschemas that may apply to one place of the data: fifty
/// alternatives of a dozen subschemas each are half of it.
pub(crate) const MAX_WIDTH: u64 = 1_000;
/// How many subschemas are looked at while references are unfolded.
pub(crate) const MAX_UNFOLDED: usize = 20_000;
/// The longest chain of subschemas that lead to each other without going into
/// the data. With [`crate::MAX_DATA_DEPTH`] it bounds the stack of a check.
pub(crate) const MAX_CHAIN: usize = 24;
/// The summed depth of a schema and all its referenced definitions: the
/// deepest that they can nest when compiled.
pub(crate) const MAX_NESTING: usize = 512;

/// Why a schema is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSchema {
    /// Too long.
    #[error("the schema has {0} bytes as JSON, the limit is {MAX_SCHEMA}: split it")]
    TooLarge(usize),
    /// Too deep.
    #[error("at `{0}` the schema nests deeper than {MAX_DEPTH}: move the inner parts to `$defs`")]
    TooDeep(String),
    /// It is no JSON Schema 2020-12.
    #[error("at `{at}` it is not JSON Schema 2020-12: {message}")]
    Invalid {
        /// The place in the schema, a JSON Pointer.
        at: String,
        /// What is wrong there.
        message: String,
    },
    /// A keyword that is not taken here.
    #[error("at `{at}`: `{keyword}` is not taken: {instead}")]
    Keyword {
        /// The place in the schema.
        at: String,
        /// The keyword.
        keyword: String,
        /// What to do.
        instead: &'static str,
    },
    /// A reference that leads nowhere or out of the document.
    #[error("at `{at}` the reference `{to}` {why}")]
    Reference {
        /// The place in the schema.
        at: String,
        /// The reference.
        to: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A pattern that the linear engine does not take or that is too large for it.
    #[error("at `{at}` the pattern is not taken: {why}")]
    Pattern {
        /// The place in the schema.
        at: String,
        /// Why.
        why: String,
    },
    /// References that lead to themselves without going into the data.
    #[error("at `{0}` the schema refers to itself without going into the data: it would never end")]
    Endless(String),
    /// Too many subschemas for one place of the data.
    #[error(
        "more than {MAX_WIDTH} subschemas apply to one place of the data (`{place}`): branches that repeat a \
         reference, or enter the same recursion more than once, multiply; let one branch do it"
    )]
    TooWide {
        /// The place in the data, as a path.
        place: String,
    },
    /// Too much to unfold.
    #[error("with its references unfolded the schema has more than {MAX_UNFOLDED} parts: simplify it")]
    TooLong,
    /// Too long a chain at one place.
    #[error("at `{0}` more than {MAX_CHAIN} subschemas lead to each other at one place: shorten the chain")]
    Chain(String),
    /// Definitions that nest too deep.
    #[error("its definitions are {0} levels deep together, the limit is {MAX_NESTING}: use fewer")]
    Nesting(usize),
}

/// The most that checking data against a schema can cost, for one place of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// For each value: subschemas that apply, weighed by what they do.
    pub(crate) value: u64,
    /// For each sixteen bytes of text: lengths and patterns.
    pub(crate) text: u64,
    /// How many `uniqueItems` apply, whose cost grows with the square of an array's length.
    pub(crate) unique: u64,
    /// How many keywords there are that look at the same data again to tell what is wrong.
    pub(crate) again: u64,
}

/// Keywords that would let a reference lead elsewhere than it says.
const REFUSED: [(&str, &str); 6] = [
    ("$anchor", "point with `#/$defs/...` instead"),
    ("$dynamicAnchor", "point with `#/$defs/...` instead"),
    ("$dynamicRef", "use `$ref`"),
    ("$recursiveAnchor", "use `$ref`"),
    ("$recursiveRef", "use `$ref`"),
    ("$vocabulary", "the standard vocabularies apply"),
];
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Whether a schema's work is bounded, and by what.
pub(crate) fn guard(schema: &Value) -> Result<Cost, BadSchema> {
    scan(schema, "", 0)?;
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA {
        return Err(BadSchema::TooLarge(bytes));
    }
    let graph = graph::Graph::of(schema)?;
    spread::spread(&graph)
}

/// What must not stand anywhere, reached by a reference or not.
fn scan(value: &Value, at: &str, depth: usize) -> Result<(), BadSchema> {
    if depth > MAX_DEPTH {
        return Err(BadSchema::TooDeep(at.chars().take(120).collect()));
    }
    match value {
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate().filter(|(_, item)| !is_plain(item)) {
                scan(item, &format!("{at}/{place}"), depth + 1)?;
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                check_key(key, value, at, depth)?;
                if !is_plain(value) {
                    scan(value, &join(at, key), depth + 1)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_plain(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

/// A property of the data may have a keyword's name: then its value is a
/// schema, an object, except where the keyword takes one too.
fn check_key(key: &str, value: &Value, at: &str, depth: usize) -> Result<(), BadSchema> {
    let refuse = |instead| Err(BadSchema::Keyword { at: at.to_owned(), keyword: key.to_owned(), instead });
    match (key, value) {
        ("$schema", Value::String(said)) if depth > 0 || said.trim_end_matches('#') != DRAFT => {
            refuse("leave it out, or name https://json-schema.org/draft/2020-12/schema at the top")
        }
        ("$id", Value::String(_)) if depth > 0 => refuse("a schema is one document: leave it out"),
        ("$ref", Value::String(to)) if !(to == "#" || to.starts_with("#/")) => Err(BadSchema::Reference {
            at: at.to_owned(),
            to: to.clone(),
            why: "leads out of the document: only `#` and `#/...` are taken",
        }),
        (_, Value::String(_) | Value::Bool(_)) => match REFUSED.iter().find(|(name, _)| *name == key) {
            Some((_, instead)) => refuse(instead),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// A JSON Pointer, one step further.
pub(crate) fn join(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}
