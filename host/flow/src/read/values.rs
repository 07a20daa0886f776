//! Values, with the places of their expressions, and small checked ones.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::Reader;
use crate::problem::Problem;
use crate::suggest::{hint, list};
use crate::template::{Part, Template};
use crate::tree::Kind;
use crate::yaml::{Data, Node, Place};

/// The text by its lines. YAML folds, unescapes and unindents what stands in
/// it; so an expression's place is looked up here, by counting the `${`.
pub(super) struct Source<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.split('\n').collect() }
    }

    /// The places of the first characters of the expressions that begin at or after a place.
    fn expressions(&self, from: Place) -> impl Iterator<Item = Place> {
        let first = from.line.saturating_sub(1) as usize;
        let lines = self.lines.iter().enumerate().skip(first);
        lines.flat_map(move |(row, line)| {
            let skip = if row == first { from.column.saturating_sub(1) as usize } else { 0 };
            let start = line.char_indices().nth(skip).map_or(line.len(), |(at, _)| at);
            let tail = line.get(start..).unwrap_or_default();
            tail.match_indices("${").filter_map(move |(at, _)| {
                let escaped = tail.get(..at).is_some_and(|before| before.ends_with('$'));
                (!escaped).then(|| self.inside(row, start + at + 2))
            })
        })
    }

    /// The first character that is no space at or after a byte of a line.
    fn inside(&self, row: usize, byte: usize) -> Place {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        for (at, line) in self.lines.iter().enumerate().skip(row) {
            let from = if at == row { byte } else { 0 };
            let tail = line.get(from..).unwrap_or_default();
            if let Some(found) = tail.find(|c: char| !c.is_whitespace()) {
                let before = line.get(..from + found).unwrap_or_default();
                return Place { line: small(at + 1), column: small(before.chars().count() + 1) };
            }
        }
        Place { line: small(row + 1), column: small(byte + 1) }
    }

    /// Whether a place is an alias: what it stands for is written elsewhere.
    fn is_alias(&self, at: Place) -> bool {
        let line = self.lines.get(at.line.saturating_sub(1) as usize).copied().unwrap_or_default();
        line.chars().nth(at.column.saturating_sub(1) as usize) == Some('*')
    }
}

impl Reader<'_> {
    /// Any value, with expressions in its texts.
    pub(super) fn template(&mut self, node: Node) -> Template {
        match node.data {
            Data::Text(text) => self.text_template(&text, node.at),
            Data::List(items) => Template::List(items.into_iter().map(|item| self.template(item)).collect()),
            Data::Map(entries) => {
                let entries = entries.into_iter().map(|(key, item)| (key.name, self.template(item)));
                Template::Map(entries.collect())
            }
            scalar => Template::Literal(scalar.scalar().unwrap_or_default()),
        }
    }

    fn text_template(&mut self, text: &str, at: Place) -> Template {
        if !text.contains("${") {
            return Template::Literal(Value::String(text.to_owned()));
        }
        let mut template = match Template::text(text, at.line, at.column, 1) {
            Ok(template) => template,
            Err(problem) => {
                self.problems.push(Problem { line: at.line, column: at.column, ..problem });
                return Template::Literal(Value::Null);
            }
        };
        let mut places = Vec::new();
        let count = template.expressions().len();
        if self.source.is_alias(at) {
            places.resize(count, at);
        } else {
            places.extend(self.source.expressions(at).take(count));
        }
        let parts: &mut [Part] = match &mut template {
            Template::Jq(only) => {
                if let Some(place) = places.first() {
                    (only.line, only.column) = (place.line, place.column);
                }
                &mut []
            }
            Template::Text(parts) => parts,
            _ => &mut [],
        };
        let expressions = parts.iter_mut().filter_map(|part| match part {
            Part::Jq(expression) => Some(expression),
            Part::Text(_) => None,
        });
        for (expression, place) in expressions.zip(places) {
            (expression.line, expression.column) = (place.line, place.column);
        }
        template
    }

    /// A value that, where it is known already, must be right.
    pub(super) fn checked(&mut self, node: Node, what: &str, fits: impl Fn(&Value) -> bool) -> Template {
        let at = node.at;
        let template = self.template(node);
        if template.literal().is_some_and(|value| !fits(&value)) {
            self.wrong(at, what);
        }
        template
    }

    /// A text without expressions: what is called, started and so on is known before a run.
    pub(super) fn plain(&mut self, node: Node, want: &str) -> Option<String> {
        match node.data {
            Data::Text(text) if text.contains("${") => {
                self.wrong(
                    node.at,
                    format!("{want}; it must be known before the run, so it holds no `${{ … }}`"),
                );
                None
            }
            Data::Text(text) => Some(text),
            other => {
                self.wrong(node.at, format!("{want}; this is {}", other.what()));
                None
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let number = match &node.data {
            Data::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        let fits = number.filter(|number| range.contains(number));
        if fits.is_none() {
            self.wrong(
                node.at,
                format!("`{what}` is a whole number from {} to {}", range.start(), range.end()),
            );
        }
        fits
    }

    /// Kinds of errors: one, or a list of them.
    pub(super) fn kinds(&mut self, node: Node) -> Vec<Kind> {
        let nodes = match node.data {
            Data::List(items) => items,
            data => vec![Node { at: node.at, data }],
        };
        nodes.into_iter().filter_map(|node| self.kind(node)).collect()
    }

    /// A kind of errors.
    pub(super) fn kind(&mut self, node: Node) -> Option<Kind> {
        let at = node.at;
        let text = self.plain(node, "a kind of errors is a text")?;
        let kind = text.parse().ok();
        if kind.is_none() {
            let names = || Kind::ALL.iter().map(|(name, _)| *name);
            let message = format!(
                "unknown kind of errors `{}`{}; known: {}",
                text.escape_debug(),
                hint(&text, names()),
                list(names())
            );
            self.wrong(at, message);
        }
        kind
    }
}

/// Whether a text can be a name: of a connection, an endpoint, a workflow, a topic or an event.
pub(super) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    bytes.len() <= MAX_NAME
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(|byte| *byte != b'-')
        && bytes.last().is_some_and(|byte| *byte != b'-')
}

/// The longest a name may be, in bytes: as the host's.
pub(super) const MAX_NAME: usize = 63;
