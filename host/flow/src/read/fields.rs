//! The keys of one mapping, taken one by one; what is left is a mistake.

use super::Reader;
use crate::suggest::{hint, list};
use crate::yaml::{Data, Key, Node, Place};

/// What people who know other languages write, and what it is called here.
const OTHERWISE_CALLED: [(&str, &str); 16] = [
    ("args", "with"),
    ("data", "with"),
    ("input", "with"),
    ("inputs", "with"),
    ("params", "with"),
    ("default", "else"),
    ("do", "steps"),
    ("name", "id"),
    ("uses", "call"),
    ("foreach", "for-each"),
    ("concurrency", "at-once"),
    ("max-parallel", "at-once"),
    ("attempts", "times"),
    ("except", "catch"),
    ("delay", "wait"),
    ("output", "gives"),
];

/// A mapping whose keys are taken one by one.
pub(super) struct Fields {
    pub(super) at: Place,
    left: Vec<(Key, Node)>,
}

impl Fields {
    /// The mapping, or a problem that says what should be there.
    pub(super) fn of(node: Node, want: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match node.data {
            Data::Map(left) => Some(Self { at: node.at, left }),
            other => {
                reader.wrong(node.at, format!("{want}; this is {}", other.what()));
                None
            }
        }
    }

    /// The value of a key, which is then no longer left.
    pub(super) fn take(&mut self, name: &str) -> Option<(Key, Node)> {
        let at = self.left.iter().position(|(key, _)| key.name == name)?;
        Some(self.left.remove(at))
    }

    /// The keys that are left.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.left.iter().map(|(key, _)| key.name.as_str())
    }

    /// The keys that are left, with their places.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.left.iter().map(|(key, _)| key)
    }

    /// Complains about what is left. `of` has these keys.
    pub(super) fn finish(self, of: &str, known: &[&str], reader: &mut Reader<'_>) {
        for (key, _) in self.left {
            let called =
                OTHERWISE_CALLED.iter().find(|(other, here)| *other == key.name && known.contains(here));
            let near = match called {
                Some((_, here)) => format!(" (did you mean `{here}`?)"),
                None => hint(&key.name, known.iter().copied()),
            };
            let has = if known.is_empty() { "it has none".to_owned() } else { list(known.iter().copied()) };
            let name = key.name.escape_debug();
            reader.wrong(key.at, format!("unknown key `{name}` of {of}{near}; known: {has}"));
        }
    }
}

/// The verb that somebody who knows another language may have meant.
pub(super) fn otherwise_called(name: &str) -> Option<&'static str> {
    OTHERWISE_CALLED.iter().find(|(other, _)| *other == name).map(|(_, here)| *here)
}
