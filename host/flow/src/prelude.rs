//! jq's own definitions, as far as an expression needs them: parsing all of
//! them costs more than most expressions do, and each run pays anew.

use std::cell::OnceCell;
use std::collections::BTreeMap;

/// All of them; a copy, because jaq gives only what it has parsed.
const TEXT: &str = include_str!("prelude.jq");

/// Where each definition stands, by its name.
struct Index {
    texts: Vec<&'static str>,
    by_name: BTreeMap<&'static str, Vec<usize>>,
}

thread_local! {
    static INDEX: OnceCell<Index> = const { OnceCell::new() };
}

/// The definitions that a text can call, directly or not, in jq's order.
/// A word in a text or a comment may bring one too many, which harms nothing.
pub(crate) fn needed(text: &str) -> String {
    let mut open: Vec<&str> = words(text).collect();
    if open.is_empty() {
        return String::new();
    }
    INDEX.with(|index| {
        let index = index.get_or_init(indexed);
        let mut wanted = vec![false; index.texts.len()];
        while let Some(word) = open.pop() {
            for place in index.by_name.get(word).into_iter().flatten() {
                let (Some(seen), Some(def)) = (wanted.get_mut(*place), index.texts.get(*place)) else {
                    continue;
                };
                if !std::mem::replace(seen, true) {
                    open.extend(words(def));
                }
            }
        }
        let kept = index.texts.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        kept.map(|(def, _)| *def).collect()
    })
}

fn indexed() -> Index {
    let mut texts = Vec::new();
    let mut by_name: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let mut rest = TEXT;
    while let Some(start) = starts(rest) {
        let tail = rest.get(start..).unwrap_or_default();
        let length = tail.get(1..).and_then(starts).map_or(tail.len(), |next| next + 1);
        let (def, after) = tail.split_at(length);
        let name = def.trim_start_matches("def").trim_start();
        let name = name.split_at(name.find([':', '(', ' ']).unwrap_or(name.len())).0;
        by_name.entry(name).or_default().push(texts.len());
        texts.push(def);
        rest = after;
    }
    Index { texts, by_name }
}

/// Where the next definition begins: at the start of a line.
fn starts(text: &str) -> Option<usize> {
    if text.starts_with("def ") { Some(0) } else { text.find("\ndef ").map(|at| at + 1) }
}

/// The words that may be names of filters: not fields, not variables.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut before = ' ';
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '@')?;
            before = rest.get(..start)?.chars().next_back().unwrap_or(before);
            let tail = rest.get(start..)?;
            let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let length = 1 + tail.get(1..)?.find(|c: char| !name(c)).unwrap_or(tail.len() - 1);
            let word = tail.get(..length)?;
            rest = tail.get(length..)?;
            let field = matches!(before, '.' | '$');
            before = 'a';
            if !field {
                return Some(word);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jq::ABSENT;

    #[test]
    fn the_definitions_are_jaqs_own() {
        let ours = jaq_core::load::parse(TEXT, |parser| parser.defs()).unwrap();
        let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let jaqs: Vec<_> = all.filter(|def| !ABSENT.contains(&def.name)).collect();
        for (one, other) in ours.iter().zip(&jaqs) {
            assert_eq!(format!("{one:?}"), format!("{other:?}"), "take the new one into prelude.jq");
        }
        assert_eq!(ours.len(), jaqs.len());
        assert_eq!(INDEX.with(|index| index.get_or_init(indexed).texts.len()), jaqs.len());
    }

    #[test]
    fn only_what_is_called_is_taken() {
        let needs = |text: &str| needed(text).matches("def ").count();
        assert_eq!(needs(".a.map + $select + 1"), 0);
        assert_eq!(needs("to_entries"), 1);
        assert_eq!(needs("with_entries(.)"), 4, "with `to_entries`, `map` and `from_entries`");
    }
}
