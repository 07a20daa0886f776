//! Values with jq inside: what a step is written with.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;

/// One `${ … }` and where its jq stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// The line of its first character, from 1.
    pub line: u32,
    /// The column of its first character, from 1.
    pub column: u32,
    /// The jq.
    pub jq: String,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// As it is.
    Text(String),
    /// What the expression gives, as text.
    Jq(Expression),
}

/// A value whose texts may hold `${ jq }`: a text that is nothing else gives
/// the expression's value, whatever it is; within a text, its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// As it is.
    Literal(Value),
    /// What the expression gives.
    Jq(Expression),
    /// A text with expressions in it.
    Text(Vec<Part>),
    /// A list.
    List(Vec<Self>),
    /// A mapping; its keys are as they are.
    Map(Vec<(String, Self)>),
}

impl Template {
    /// The value of a variable: `$id`.
    pub fn variable(id: &str, line: u32, column: u32) -> Self {
        Self::Jq(Expression { line, column, jq: format!("${id}") })
    }

    /// Reads a text that stands at this place and may hold `${ … }`; `$${`
    /// writes `${`. `indent` is the column at which the text's further lines begin.
    pub fn text(text: &str, line: u32, column: u32, indent: u32) -> Result<Self, Problem> {
        let place = |offset: usize| place(text, offset, line, column, indent);
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| rest.find("${")).map(|found| at + found) {
            let before = text.get(at..found).unwrap_or_default();
            if let Some(before) = before.strip_suffix('$') {
                plain.push_str(before);
                plain.push_str("${");
                at = found + 2;
                continue;
            }
            plain.push_str(before);
            let inside = text.get(found + 2..).unwrap_or_default();
            let Some(length) = end(inside) else {
                let (line, column) = place(found);
                return Err(Problem::new(
                    line,
                    column,
                    "`${` is never closed: write `${ jq }`, or `$${` for the text `${`",
                ));
            };
            let jq = inside.get(..length).unwrap_or_default();
            let skipped = jq.len() - jq.trim_start().len();
            let (line, column) = place(found + 2 + skipped);
            if jq.trim().is_empty() {
                return Err(Problem::new(
                    line,
                    column,
                    "`${ }` is empty: write an expression, or `$${` for the text `${`",
                ));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Jq(Expression { line, column, jq: jq.trim().to_owned() }));
            at = found + 2 + length + 1;
        }
        plain.push_str(text.get(at..).unwrap_or_default());
        if parts.is_empty() {
            return Ok(Self::Literal(Value::String(plain)));
        }
        if plain.trim().is_empty() && parts.len() == 1 {
            // `field: >-` and `|` may leave a line's end behind the expression.
            if let [Part::Jq(only)] = parts.as_slice() {
                return Ok(Self::Jq(only.clone()));
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self::Text(parts))
    }

    /// Its expressions, in the order they stand.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Jq(expression) => vec![expression],
            Self::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Jq(expression) => Some(expression),
                    Part::Text(_) => None,
                })
                .collect(),
            Self::List(items) => items.iter().flat_map(Self::expressions).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(_, item)| item.expressions()).collect(),
        }
    }

    /// The value, if there is no expression in it.
    pub fn literal(&self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Jq(_) | Self::Text(_) => None,
            Self::List(items) => items.iter().map(Self::literal).collect::<Option<_>>().map(Value::Array),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, item)| Some((key.clone(), item.literal()?)))
                .collect::<Option<_>>()
                .map(Value::Object),
        }
    }
}

/// Where the `}` stands that ends a `${`: braces within jq's own braces and
/// texts do not count.
fn end(inside: &str) -> Option<usize> {
    /// What the scan is in.
    #[derive(PartialEq)]
    enum In {
        Braces,
        Parens,
        Text,
    }
    let mut open: Vec<In> = Vec::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if open.last() == Some(&In::Text) {
            match c {
                '\\' => {
                    if let Some((_, '(')) = chars.next() {
                        open.push(In::Parens); // `\( … )` is jq again
                    }
                }
                '"' => {
                    open.pop();
                }
                _ => {}
            }
            continue;
        }
        match c {
            '"' => open.push(In::Text),
            '{' => open.push(In::Braces),
            '(' => open.push(In::Parens),
            '}' if open.is_empty() => return Some(at),
            '}' | ')' => {
                open.pop(); // that they match is jq's to say
            }
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            _ => {}
        }
    }
    None
}

fn place(text: &str, offset: usize, line: u32, column: u32, indent: u32) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or_default();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let lines = small(before.matches('\n').count());
    let chars = small(before.rsplit('\n').next().unwrap_or_default().chars().count());
    (line.saturating_add(lines), if lines == 0 { column } else { indent }.saturating_add(chars))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jq(line: u32, column: u32, jq: &str) -> Expression {
        Expression { line, column, jq: jq.to_owned() }
    }

    #[test]
    fn a_text_that_is_one_expression_is_its_value() {
        assert_eq!(Template::text("${ .a }", 3, 10, 1).unwrap(), Template::Jq(jq(3, 13, ".a")));
        assert_eq!(Template::text("${.a}\n", 3, 10, 1).unwrap(), Template::Jq(jq(3, 12, ".a")));
    }

    #[test]
    fn within_a_text_the_places_are_counted() {
        let read = Template::text("né ${.a}\nb ${ .c }!", 3, 10, 5).unwrap();
        let parts = vec![
            Part::Text("né ".into()),
            Part::Jq(jq(3, 15, ".a")),
            Part::Text("\nb ".into()),
            Part::Jq(jq(4, 10, ".c")),
            Part::Text("!".into()),
        ];
        assert_eq!(read, Template::Text(parts));
        assert_eq!(read.literal(), None);
        assert_eq!(read.expressions().len(), 2);
    }

    #[test]
    fn braces_of_jq_do_not_end_an_expression() {
        for inside in [r#"{a: {b: 1}}"#, r#""}" + "\"}""#, r#""x\({a: "}"}.a)y}""#, ". # }\n"] {
            let read = Template::text(&format!("${{{inside}}}"), 1, 1, 1).unwrap();
            assert!(matches!(&read, Template::Jq(found) if found.jq == inside.trim()), "{inside}: {read:?}");
        }
    }

    #[test]
    fn two_dollars_write_the_text_itself() {
        let read = Template::text("cost $${ .a } $5 $", 1, 1, 1).unwrap();
        assert_eq!(read.literal(), Some(json!("cost ${ .a } $5 $")));
    }

    #[test]
    fn what_is_not_closed_or_empty_is_told_with_its_place() {
        let problem = Template::text("a ${ .b", 2, 4, 1).unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 6));
        assert!(Template::text("${  }", 1, 1, 1).unwrap_err().message.contains("empty"));
    }

    #[test]
    fn it_is_read_back_as_it_was() {
        let template = Template::Map(vec![
            ("b".into(), Template::List(vec![Template::Literal(json!(1)), Template::variable("x", 2, 3)])),
            ("a".into(), Template::text("x${.}", 1, 1, 1).unwrap()),
        ]);
        let text = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&text).unwrap(), template);
    }
}
