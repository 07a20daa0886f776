//! "Did you mean": the nearest known word to one that was mistyped.

/// The farthest two words may be apart to be taken for a slip: about one letter in three.
const NEAR: f64 = 0.6;

/// The known word that `text` most likely meant, if any is near enough.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(text, word), word))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Adds "did you mean" to serde's unknown-field and unknown-variant messages,
/// which list what was expected: "unknown field `naem`, expected one of `name`, ...".
pub fn explain_unknown(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let is_unknown = message.contains("unknown field") || message.contains("unknown variant");
    match quoted.next().and_then(|got| nearest(got, quoted)) {
        Some(word) if is_unknown => format!("{message} (did you mean `{word}`?)"),
        _ => message.to_owned(),
    }
}

#[test]
fn a_slip_finds_its_word_and_nonsense_finds_none() {
    assert_eq!(nearest("conection", ["connection", "workflow"]), Some("connection"));
    assert_eq!(nearest("zebra", ["connection", "workflow"]), None);
    let message = "unknown field `naem`, expected one of `name`, `version`";
    assert!(explain_unknown(message).ends_with("(did you mean `name`?)"));
}
