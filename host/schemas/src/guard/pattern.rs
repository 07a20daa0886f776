//! A pattern's size, before it is compiled for use.

use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::PikeVM;

/// The most bytes of a compiled pattern. The engine is linear in the text, and
/// in this: one of this size costs a second for some megabytes at worst.
pub(crate) const MAX_PATTERN: usize = 32 << 10;

/// The most bytes of a pattern's text: turning it into the engine's syntax
/// takes a pass for each odd escape in it.
const MAX_TEXT: usize = 1_000;

/// A pattern whose size is known.
pub(super) struct Pattern {
    engine: PikeVM,
}

impl Pattern {
    /// Takes a pattern of a schema (ECMA-262's syntax, less what is not linear).
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let refused = "it is not a regular expression of the linear kind: look-around and back-references are not taken";
        if text.len() > MAX_TEXT {
            return Err(format!("it has more than {MAX_TEXT} bytes: make it shorter"));
        }
        let text = jsonschema_regex::to_rust_regex(text).map_err(|()| refused.to_owned())?;
        let engine = PikeVM::builder()
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_PATTERN)))
            .build(&text)
            .map_err(|error| match error.size_limit() {
                Some(limit) => format!("compiled it has more than {limit} bytes: make it shorter"),
                None => refused.to_owned(),
            })?;
        Ok(Self { engine })
    }

    /// What it costs for sixteen bytes, in units of some 30 ns: the states that
    /// the slowest of the engines may visit for each byte.
    pub(super) fn cost(&self) -> u64 {
        let states = u64::try_from(self.engine.get_nfa().states().len()).unwrap_or(u64::MAX);
        states.saturating_mul(3)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.engine.is_match(&mut self.engine.create_cache(), text)
    }
}
