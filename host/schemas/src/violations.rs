//! What does not fit, and where: for people, without the value that was there.

use std::fmt;

use host_model::name::SchemaRef;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

/// The most violations told: more would only be scrolled past.
pub const MAX_VIOLATIONS: usize = 50;
/// The longest that the text of all of them gets, so that a journal and an
/// answer can hold it.
const MAX_TEXT: usize = 4_000;
/// The longest that one path or expectation gets.
const MAX_PART: usize = 200;

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The place in the data, a JSON Pointer; empty for the whole.
    pub path: String,
    /// What was expected there.
    pub expected: String,
}

/// Everything in some data that does not fit a schema, at most [`MAX_VIOLATIONS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    /// The schema.
    pub schema: SchemaRef,
    /// In the order in which the schema finds them; never empty.
    pub list: Vec<Violation>,
    /// Whether there are more.
    pub more: bool,
}

impl Violations {
    pub(crate) fn one(schema: &SchemaRef, path: &str, expected: impl Into<String>) -> Self {
        let list = vec![Violation { path: path.to_owned(), expected: expected.into() }];
        Self { schema: schema.clone(), list, more: false }
    }

    pub(crate) fn of<'e>(schema: &SchemaRef, errors: impl Iterator<Item = ValidationError<'e>>) -> Self {
        let mut list = Vec::new();
        for error in errors {
            told(&error, &mut list);
            if list.len() > MAX_VIOLATIONS {
                break;
            }
        }
        let more = list.len() > MAX_VIOLATIONS;
        list.truncate(MAX_VIOLATIONS);
        Self { schema: schema.clone(), list, more }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("it does not fit `{}`", self.schema);
        for (place, Violation { path, expected }) in self.list.iter().enumerate() {
            let separator = if place == 0 { ":" } else { ";" };
            let path = if path.is_empty() { "/" } else { path };
            let next = format!("{separator} `{path}` must {expected}");
            if text.len() + next.len() > MAX_TEXT {
                return write!(f, "{text}; and {} more", self.list.len() - place);
            }
            text.push_str(&next);
        }
        let more = if self.more { "; and more" } else { "" };
        write!(f, "{text}{more}")
    }
}

impl std::error::Error for Violations {}

fn told(error: &ValidationError<'_>, list: &mut Vec<Violation>) {
    let path = error.instance_path().as_str();
    let mut tell = |path: &str, expected: String| {
        list.push(Violation { path: clean(path), expected: clean(&expected) });
    };
    match error.kind() {
        Kind::Required { property } => {
            tell(&crate::guard::join(path, property.as_str().unwrap_or_default()), "be there".to_owned());
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            for name in unexpected.iter().take(MAX_VIOLATIONS + 1) {
                tell(
                    &crate::guard::join(path, name),
                    "not be there: the schema knows no such property".to_owned(),
                );
            }
        }
        kind => tell(path, expected(kind)),
    }
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Type { kind: TypeKind::Single(one) } => format!("be of type {one}"),
        Kind::Type { kind: TypeKind::Multiple(several) } => {
            let names: Vec<_> = several.iter().map(|one| one.to_string()).collect();
            format!("be of type {}", names.join(" or "))
        }
        Kind::Constant { expected_value } => format!("be {}", json(expected_value)),
        Kind::Enum { options } => format!("be one of {}", json(options)),
        Kind::Minimum { limit } => format!("be {limit} or more"),
        Kind::Maximum { limit } => format!("be {limit} or less"),
        Kind::ExclusiveMinimum { limit } => format!("be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("have {limit} characters or more"),
        Kind::MaxLength { limit } => format!("have {limit} characters or fewer"),
        Kind::MinItems { limit } => format!("have {limit} items or more"),
        Kind::MaxItems { limit } => format!("have {limit} items or fewer"),
        Kind::MinProperties { limit } => format!("have {limit} properties or more"),
        Kind::MaxProperties { limit } => format!("have {limit} properties or fewer"),
        Kind::AdditionalItems { limit } => format!("have {limit} items or fewer"),
        Kind::UnevaluatedItems { .. } => "have no further items".to_owned(),
        Kind::Pattern { pattern } => format!("match `{pattern}`"),
        Kind::Format { format } => format!("be a {format}"),
        Kind::UniqueItems => "have items that all differ".to_owned(),
        Kind::Contains => "have the items that `contains` asks for".to_owned(),
        Kind::PropertyNames { .. } => "have names that fit `propertyNames`".to_owned(),
        Kind::FalseSchema => "not be there".to_owned(),
        Kind::Not { .. } => "not fit what `not` describes".to_owned(),
        Kind::AnyOf { context } => format!("fit one of {} alternatives", context.len()),
        Kind::OneOfNotValid { context } => {
            format!("fit exactly one of {} alternatives, and fits none", context.len())
        }
        Kind::OneOfMultipleValid { context } => {
            format!("fit exactly one of {} alternatives, and fits several", context.len())
        }
        other => format!("fit the schema's `{}`", other.keyword()),
    }
}

fn json(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            // As many as can be read.
            let some: Vec<_> = items.iter().take(20).map(ToString::to_string).collect();
            some.join(", ")
        }
        other => other.to_string(),
    }
}

/// One short line: names in a path are the sender's.
fn clean(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(MAX_PART).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
