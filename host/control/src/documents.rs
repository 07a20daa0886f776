//! The files that people write for a tenant: YAML, several documents each,
//! every one with its `kind`.
//!
//! A document is read twice: for its kind, then as that kind's type from the
//! same text. An internally tagged enum would buffer it and lose the places
//! that errors name.

mod read;
mod split;

use std::fmt;

use host_model::resource::{Resource, Source, WorkflowSpec};
use serde::Deserialize;

use self::read::{read, read_kind};
use self::split::{Part, split};

/// The most bytes of an applied file: a thousand documents of a kilobyte.
pub(crate) const MAX_FILE: usize = 1 << 20;
/// The most documents of an applied file: what one atomic commit can hold.
pub(crate) const MAX_DOCUMENTS: usize = 1_000;
/// The most mistakes told at once: all that a person could want to look at,
/// and an answer that a terminal holds.
const MAX_MISTAKES: usize = 100;

/// One document: what it says and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) line: u64,
    pub(crate) resource: Resource,
}

/// Which files a text is made of: each one's name and how many lines come
/// before it. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files(Vec<(String, u64)>);

impl Files {
    /// One file, or several as whoever put them together says.
    pub(crate) fn new(whole: &str, mut parts: Vec<(String, u64)>) -> Self {
        parts.sort_by_key(|(_, before)| *before);
        parts.insert(0, (whole.to_owned(), 0));
        Self(parts)
    }

    /// The file that a line, from 0, stands in, and how many lines of that file come before it.
    fn of(&self, line: u64) -> (&str, u64) {
        let part = self.0.iter().rev().find(|(_, before)| *before <= line);
        part.map_or(("", line), |(name, before)| (name, line - before))
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1, if it is about one.
    pub(crate) line: Option<u64>,
    /// The column of that line, from 1, if it is known.
    pub(crate) column: Option<u64>,
    /// What is wrong there and what to do.
    pub(crate) message: String,
}

/// Everything that is wrong with a file: `lead.yaml line 4: unknown field ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes {
    /// The file, as the caller named it.
    pub(crate) file: String,
    /// In order of the lines.
    pub(crate) mistakes: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Mistake { line, column, message }) in self.mistakes.iter().take(MAX_MISTAKES).enumerate()
        {
            let separator = if place == 0 { "" } else { "\n" };
            let message = message.replace('\n', " "); // a line each, for programs that read them
            match line {
                Some(line) => write!(f, "{separator}{} {}: {message}", self.file, place_of(*line, *column))?,
                None => write!(f, "{separator}{}: {message}", self.file)?,
            }
        }
        match self.mistakes.len().checked_sub(MAX_MISTAKES) {
            Some(more @ 1..) => write!(f, "\n... and {more} more"),
            _ => Ok(()),
        }
    }
}

/// A place in a file: `line 4`, `line 4:9`.
pub(crate) fn place_of(line: u64, column: Option<u64>) -> String {
    column.map_or_else(|| format!("line {line}"), |column| format!("line {line}:{column}"))
}

/// What a document says it is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Tenant,
    Connection,
    Workflow,
    Schedule,
    Schema,
}

/// How many documents a tenant's file has, or everything that is wrong with
/// them. Nothing is looked up and nothing changes: for whoever only wants to
/// know whether a text is one, as `tests/fuzz` does.
pub fn read_documents(text: &str) -> Result<usize, Vec<String>> {
    let parsed = parse(text).map(|documents| documents.len());
    parsed.map_err(|mistakes| mistakes.into_iter().map(|mistake| mistake.message).collect())
}

/// Reads every document, or says everything that is wrong with them.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, Vec<Mistake>> {
    let (documents, mistakes) = parse_all(text, &Files::new("f.yaml", Vec::new()));
    if mistakes.is_empty() { Ok(documents) } else { Err(mistakes) }
}

/// Reads every document that can be read, and says what is wrong with the others.
pub(crate) fn parse_all(text: &str, files: &Files) -> (Vec<Document>, Vec<Mistake>) {
    let parts = split(text);
    if parts.len() > MAX_DOCUMENTS {
        let message = format!(
            "the file has {} documents, the limit is {MAX_DOCUMENTS}: apply it in parts",
            parts.len()
        );
        return (Vec::new(), vec![Mistake { line: None, column: None, message }]);
    }
    let (mut documents, mut mistakes) = (Vec::new(), Vec::new());
    for part in parts {
        let resource = read_kind(&part).and_then(|kind| match kind {
            Kind::Tenant => read(&part).map(Resource::Tenant),
            Kind::Connection => read(&part).map(Resource::Connection),
            Kind::Workflow => read(&part).map(|spec| Resource::Workflow(with_source(spec, &part, files))),
            Kind::Schedule => read(&part).map(Resource::Schedule),
            Kind::Schema => read(&part).map(Resource::Schema),
        });
        match resource {
            Ok(resource) => documents.push(Document { line: part.line, resource }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    (documents, mistakes)
}

/// A workflow with steps keeps its text, and where the text stands.
fn with_source(mut spec: WorkflowSpec, part: &Part<'_>, files: &Files) -> WorkflowSpec {
    if spec.steps.take().is_some() {
        // A marker alone may be of the line between two files.
        let (text, before) = match part.text.split_once('\n') {
            Some((first, rest)) if first.trim_end() == "---" => (rest, part.before + 1),
            _ => (part.text, part.before),
        };
        let (file, before) = files.of(before);
        let (file, text) = (file.to_owned(), text.to_owned());
        spec.source = Some(Source { text, file, before, checked: None });
    }
    spec.answer = None;
    spec
}

#[cfg(test)]
mod tests;
