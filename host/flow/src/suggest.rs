//! "Did you mean": the nearest known word. As `host_model::suggest`, which is
//! not here so that a guest need not carry the whole model.

/// The farthest two words may be apart to be taken for a slip: about one letter in three.
const NEAR: f64 = 0.6;

/// ` (did you mean …?)`, or nothing if no known word is near.
pub(crate) fn hint<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(text, word), word))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| format!(" (did you mean `{word}`?)"))
        .unwrap_or_default()
}

/// `` `a`, `b`, `c` ``.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
