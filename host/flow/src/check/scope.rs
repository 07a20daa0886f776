//! The variables that are set at one place of a workflow.

use std::collections::BTreeMap;

/// A variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// Where it was set; 0 if it is there by itself.
    pub(super) line: u32,
    /// The schema of what it holds, if that is known.
    pub(super) gives: Option<&'a str>,
}

/// The variables that are set, or may be: what a step that was passed over
/// would have set is `null`.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope<'a> {
    vars: BTreeMap<&'a str, Known<'a>>,
    /// Those that are ids, which cannot be taken twice.
    ids: BTreeMap<&'a str, u32>,
}

impl<'a> Scope<'a> {
    pub(super) fn built_in(&mut self, name: &'a str) {
        self.set(name, Known { line: 0, gives: None });
    }

    pub(super) fn set(&mut self, name: &'a str, known: Known<'a>) {
        self.vars.insert(name, known);
    }

    pub(super) fn set_id(&mut self, name: &'a str, known: Known<'a>) {
        self.ids.insert(name, known.line);
        self.set(name, known);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known<'a>> {
        self.vars.get(name)
    }

    /// The line of the step that has this id and comes before.
    pub(super) fn line_of_id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.vars.keys().copied()
    }

    /// The ids that are set here and not there.
    pub(super) fn new_ids(&self, before: &Self) -> Vec<(&'a str, u32)> {
        self.ids
            .iter()
            .filter(|(id, _)| !before.ids.contains_key(*id))
            .map(|(id, line)| (*id, *line))
            .collect()
    }

    /// Adds what may be set on another way. What differs is not known.
    pub(super) fn join(&mut self, other: &Self) {
        for (name, known) in &other.vars {
            let same = self.vars.get(name).is_none_or(|ours| ours.gives == known.gives);
            self.vars.insert(name, Known { gives: known.gives.filter(|_| same), ..*known });
        }
        self.ids.extend(&other.ids);
    }

    /// For the steps that are done when these failed: they may set the same
    /// ids again, and none of it is certain.
    pub(super) fn again(&self) -> Self {
        Self { vars: self.vars.clone(), ids: BTreeMap::new() }
    }

    /// Takes a variable away that is there in one block only, unless it was there before.
    pub(super) fn forget(&mut self, name: &str, before: &Self) {
        if before.get(name).is_none() {
            self.vars.remove(name);
        }
    }
}
