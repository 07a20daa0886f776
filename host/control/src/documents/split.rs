//! One file into its documents.

/// The text of one document, and where it starts in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its first line that says something, from 1.
    pub(super) line: u64,
    /// How many lines of the file come before `text`.
    pub(super) before: u64,
    pub(super) text: &'a str,
}

/// Splits at `---` and `...`. At the start of a line, before white space or
/// the line's end, they are document markers wherever they stand, inside
/// scalars too (YAML 1.2.2, 9.1.2), so no parser is needed to find them.
pub(super) fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut before) = (0, 0);
    let (mut offset, mut lines) = (0, 0);
    for line in text.split_inclusive('\n') {
        if is_marker(line) {
            parts.extend(part(text.get(start..offset), before));
            (start, before) = (offset, lines);
        }
        offset += line.len();
        lines += 1;
    }
    parts.extend(part(text.get(start..), before));
    parts
}

fn is_marker(line: &str) -> bool {
    let after = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
    after.is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace))
}

/// `None` for a part that says nothing: blank lines, comments, a bare marker.
fn part(text: Option<&str>, before: u64) -> Option<Part<'_>> {
    let text = text?;
    // What follows `...` is not content; the marker itself is no document's start.
    let (text, before) = match text.strip_prefix("...") {
        Some(rest) => (rest.split_once('\n')?.1, before + 1),
        None => (text, before),
    };
    let says_something = |line: &str| {
        let said = line.strip_prefix("---").unwrap_or(line).trim().trim_start_matches('\u{feff}');
        !said.is_empty() && !said.starts_with('#')
    };
    let blank = u64::try_from(text.lines().position(says_something)?).unwrap_or(0);
    Some(Part { line: before + blank + 1, before, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u64, &str)> {
        split(text).into_iter().map(|part| (part.line, part.text)).collect()
    }

    #[test]
    fn documents_are_found_with_the_lines_they_start_at() {
        assert_eq!(lines("a: 1\n---\nb: 2\n"), [(1, "a: 1\n"), (3, "---\nb: 2\n")]);
        assert_eq!(lines("# head\n---\n\n# more\nb: 2"), [(5, "---\n\n# more\nb: 2")]);
        assert_eq!(lines("a: 1\r\n---\r\nb: 2"), [(1, "a: 1\r\n"), (3, "---\r\nb: 2")]);
        assert_eq!(lines("--- {a: 1}\n...\nb: 2\n"), [(1, "--- {a: 1}\n"), (3, "b: 2\n")]);
    }

    #[test]
    fn what_only_looks_like_a_marker_is_not_one() {
        for text in ["a: |\n  ---\n  x\n", "a: ---\n", "----\n", "---a\n"] {
            assert_eq!(split(text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_has_no_documents() {
        for text in ["", "\n\n", "---", "---\n---\n...\n", "# only this\n"] {
            assert!(split(text).is_empty(), "{text:?}");
        }
    }
}
