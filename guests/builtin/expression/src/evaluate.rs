//! `evaluate`: jq over one value.

use host_flow::{Program, from_json, to_json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wharf_sdk::Error;

/// The most expressions of one question: those of all triggers that a message meets.
const MAX_EXPRESSIONS: usize = 1_000;

/// Expressions, and the value that is `.` for all of them.
#[derive(Deserialize)]
pub(crate) struct Question {
    expressions: Vec<String>,
    #[serde(default)]
    input: Option<Box<RawValue>>,
    /// Only to see whether they are jq.
    #[serde(default)]
    check: bool,
}

/// What became of one expression.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Evaluated {
    /// Its first value; `null` if it gives none.
    Value(Box<RawValue>),
    /// Why it has none.
    Error(String),
}

/// One for each expression, in their order.
pub(crate) fn answer(question: &Question) -> Result<Vec<Evaluated>, Error> {
    let count = question.expressions.len();
    if count > MAX_EXPRESSIONS {
        return Err(Error::invalid(format!("{count} expressions; the limit is {MAX_EXPRESSIONS} at once")));
    }
    let input = question.input.as_deref().map_or("null", RawValue::get);
    let input = from_json(input).map_err(|error| Error::invalid(format!("`input`: {error}")))?;
    let one = |expression: &String| {
        let program = Program::compile(expression, &[]).map_err(|bad| bad.message)?;
        let value = match question.check {
            true => None,
            false => program.first(input.clone(), Vec::new())?,
        };
        let text = value.as_ref().map_or(Ok("null".to_owned()), to_json)?;
        RawValue::from_string(text).map_err(|error| error.to_string())
    };
    Ok(question
        .expressions
        .iter()
        .map(|it| one(it).map_or_else(Evaluated::Error, Evaluated::Value))
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn told(question: Value) -> Value {
        // From a text, as in a call: a raw value cannot be made of a tree.
        let question = serde_json::from_str(&question.to_string()).unwrap();
        serde_json::to_value(super::answer(&question).unwrap()).unwrap()
    }

    #[test]
    fn each_expression_has_its_value_or_its_error() {
        let expressions = [".a > 1", "empty", ".a.b", "frob", "$x"];
        assert_eq!(
            told(json!({ "expressions": expressions, "input": { "a": 2 } })),
            json!([
                { "value": true },
                { "value": null },
                { "error": "cannot index 2 with \"b\"" },
                { "error": "there is no filter `frob/0`" },
                { "error": "`$x` is not set here" },
            ])
        );
    }

    #[test]
    fn a_check_evaluates_nothing() {
        let told = told(json!({ "expressions": [".a.b", "repeat(1) | empty", ".a |"], "check": true }));
        assert_eq!(told[0], json!({ "value": null }));
        assert_eq!(told[1], json!({ "value": null }));
        assert!(told[2]["error"].as_str().unwrap().contains("expected"));
    }

    #[test]
    fn numbers_stay_as_they_were() {
        let told = told(json!({ "expressions": [".", ". + 1"], "input": 9007199254740993_u64 }));
        assert_eq!(told, json!([{ "value": 9007199254740993_u64 }, { "value": 9007199254740994_u64 }]));
    }

    #[test]
    fn too_many_are_refused() {
        let question = json!({ "expressions": vec!["."; 1_001] }).to_string();
        assert!(super::answer(&serde_json::from_str(&question).unwrap()).is_err());
    }
}
