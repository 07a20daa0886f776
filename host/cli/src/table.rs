//! Columns that line up.

/// Rows under a heading, each column as wide as its widest cell. Line breaks
/// in a cell would be rows of somebody else's making: they are escaped.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_uppercase);
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| one_line(cell))).collect();
    let all = || std::iter::once(&heading).chain(&rows);
    let mut widths = [0; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

/// The text on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// The text on one line, cut to what fits beside other things.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= most {
        return text;
    }
    let head: String = text.chars().take(most).collect();
    format!("{head}…")
}

#[test]
fn columns_line_up_and_a_cell_cannot_make_a_row() {
    let rows = [["größe".to_owned(), "1".to_owned()], ["a\nb".to_owned(), "22".to_owned()]];
    assert_eq!(table(["name", "n"], &rows), "NAME   N\ngröße  1\na\\nb   22");
}

#[test]
fn a_long_text_is_cut_where_characters_end() {
    assert_eq!(cut("ääää", 3), "äää…");
    assert_eq!(cut("ää", 3), "ää");
}
