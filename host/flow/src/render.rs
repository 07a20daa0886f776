//! Templates filled in with the values that are there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jaq_json::Val;

use crate::jq::Program;
use crate::json::{from_json, to_json};
use crate::template::{Expression, Part, Template};

/// Why a value could not be made, and where its expression stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{jq}`: {message}")]
pub struct BadValue {
    /// The expression's line.
    pub line: u32,
    /// Its column.
    pub column: u32,
    /// The expression.
    pub jq: String,
    /// What is wrong.
    pub message: String,
}

/// Programs by their text and the variables that they use.
type Programs = BTreeMap<String, Vec<(Vec<String>, Program)>>;

/// What expressions see: `.` and the variables. A copy is a scope of its own
/// that shares the compiled expressions.
#[derive(Clone, Debug, Default)]
pub struct Values {
    dot: Val,
    vars: BTreeMap<Rc<str>, Val>,
    /// Each expression is compiled once, when it is first needed.
    programs: Rc<RefCell<Programs>>,
}

impl Values {
    /// With this as `.`.
    pub fn new(dot: Val) -> Self {
        Self { dot, ..Self::default() }
    }

    /// Sets the variable `$name`.
    pub fn set(&mut self, name: &str, value: Val) {
        match self.vars.get_mut(name) {
            Some(known) => *known = value,
            None => {
                self.vars.insert(name.into(), value);
            }
        }
    }

    /// Takes the variable `$name` away.
    pub fn unset(&mut self, name: &str) -> Option<Val> {
        self.vars.remove(name)
    }

    /// The variable `$name`.
    pub fn get(&self, name: &str) -> Option<&Val> {
        self.vars.get(name)
    }

    /// Fills a template in. `before` hears of each expression before it is
    /// evaluated, which may never end.
    pub fn render(&self, template: &Template, before: &mut dyn FnMut(&Expression)) -> Result<Val, BadValue> {
        match template {
            Template::Literal(value) => Ok(literal(value)),
            Template::Jq(expression) => {
                before(expression);
                self.evaluate(expression)
            }
            Template::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(plain) => text.push_str(plain),
                        Part::Jq(expression) => {
                            before(expression);
                            let value = self.evaluate(expression)?;
                            text.push_str(&text_of(&value).map_err(|message| bad(expression, message))?);
                        }
                    }
                }
                Ok(Val::from(text))
            }
            Template::List(items) => items.iter().map(|item| self.render(item, before)).collect(),
            Template::Map(entries) => {
                let mut made = |(key, item): &(String, Template)| {
                    Ok((Val::from(key.clone()), self.render(item, before)?))
                };
                Ok(Val::obj(entries.iter().map(&mut made).collect::<Result<_, _>>()?))
            }
        }
    }

    /// What an expression gives: its first value.
    pub fn evaluate(&self, expression: &Expression) -> Result<Val, BadValue> {
        let names: Vec<&str> =
            mentioned(&expression.jq).filter(|name| self.vars.contains_key(*name)).collect();
        let program = self.program(expression, &names)?;
        let vars = names.iter().map(|name| self.vars.get(*name).cloned().unwrap_or_default()).collect();
        match program.first(self.dot.clone(), vars) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(bad(expression, "it gave nothing; `// null` gives null instead")),
            Err(message) => Err(bad(expression, message)),
        }
    }

    fn program(&self, expression: &Expression, names: &[&str]) -> Result<Program, BadValue> {
        let mut programs = self.programs.borrow_mut();
        if let Some(known) = programs.get(&expression.jq)
            && let Some((_, program)) = known.iter().find(|(with, _)| with == names)
        {
            return Ok(program.clone());
        }
        let program =
            Program::compile(&expression.jq, names).map_err(|error| bad(expression, error.message))?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        programs.entry(expression.jq.clone()).or_default().push((names, program.clone()));
        Ok(program)
    }
}

/// A value as text: a text as it is, anything else as JSON.
pub fn text_of(value: &Val) -> Result<String, String> {
    match value {
        Val::TStr(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        other => to_json(other),
    }
}

fn literal(value: &serde_json::Value) -> Val {
    match value {
        serde_json::Value::String(text) => Val::from(text.clone()),
        // It was read from JSON, so it can be read again.
        other => from_json(&other.to_string()).unwrap_or_default(),
    }
}

fn bad(expression: &Expression, message: impl Into<String>) -> BadValue {
    let Expression { line, column, jq } = expression.clone();
    BadValue { line, column, jq, message: message.into() }
}

/// The names after a `$`, also those that the expression binds itself.
fn mentioned(jq: &str) -> impl Iterator<Item = &str> {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    jq.split('$').skip(1).map(move |rest| rest.split_at(rest.find(|c| !name(c)).unwrap_or(rest.len())).0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        let mut values = Values::new(from_json(r#"{"name":"Ada","n":2}"#).unwrap());
        values.set("x", from_json(r#"{"id":"7"}"#).unwrap());
        values
    }

    fn render(text: &str) -> Result<String, BadValue> {
        values()
            .render(&Template::text(text, 4, 7, 1).unwrap(), &mut |_| ())
            .map(|value| to_json(&value).unwrap())
    }

    #[test]
    fn a_template_is_filled_in() {
        for (text, want) in [
            ("plain", r#""plain""#),
            ("${ .n }", "2"),
            ("${ $x }", r#"{"id":"7"}"#),
            ("Hello ${ .name }, ${ .n + 1 }", r#""Hello Ada, 3""#),
            ("${ .n }${ .none }", r#""2null""#),
            ("${ 5 as $y | $y + .n }", "7"),
            ("${ 5 as $x | $x }", "5"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(want), "{text}");
        }
        let template = Template::Map(vec![
            (
                "z".into(),
                Template::List(vec![Template::Literal(json!({"k": 1.5})), Template::variable("x", 1, 1)]),
            ),
            ("a".into(), Template::Literal(json!(null))),
        ]);
        let mut heard = Vec::new();
        let value = values().render(&template, &mut |expression| heard.push(expression.jq.clone())).unwrap();
        assert_eq!(to_json(&value).unwrap(), r#"{"z":[{"k":1.5},{"id":"7"}],"a":null}"#);
        assert_eq!(heard, ["$x"]);
    }

    #[test]
    fn an_error_says_where_the_expression_stands() {
        let error = render("abc ${ .name.first }").unwrap_err();
        assert_eq!((error.line, error.column), (4, 14));
        assert_eq!(error.to_string(), "`.name.first`: cannot index \"Ada\" with \"first\"");
        assert_eq!(render("${ $made.id }").unwrap_err().message, "`$made` is not set here");
        assert!(render("${ empty }").unwrap_err().message.contains("nothing"));
    }

    #[test]
    fn a_scope_of_its_own_changes_nothing_outside() {
        let outer = values();
        let mut inner = outer.clone();
        inner.set("x", Val::Null);
        inner.set("y", Val::Null);
        assert!(outer.get("y").is_none() && outer.get("x") != Some(&Val::Null));
        // The same expression with and without `$y` in scope.
        let both = Expression { line: 1, column: 1, jq: "$y // 1".into() };
        assert!(inner.evaluate(&both).is_ok() && outer.evaluate(&both).is_err());
    }
}
