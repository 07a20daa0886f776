//! A JSON object as a form: text, numbers and booleans are fields, a list is
//! a field sent repeatedly, `null` is a field not sent.

use serde_json::Value;

use super::{Form, cut};
use crate::Error;

pub(super) fn parse(body: &[u8]) -> Result<Form, Error> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Error::InvalidInput(format!("the body is not JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Error::InvalidInput(
            "the body is JSON, but no object: send {\"field\": \"text\"}".to_owned(),
        ));
    };
    let mut form = Form::default();
    for (name, value) in object {
        match value {
            Value::Array(values) => {
                for value in values {
                    push(&mut form, &name, value)?;
                }
            }
            value => push(&mut form, &name, value)?,
        }
    }
    Ok(form)
}

fn push(form: &mut Form, name: &str, value: Value) -> Result<(), Error> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text,
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => {
            let name = cut(name);
            return Err(Error::InvalidInput(format!(
                "the field `{name}` is nested: a form has texts and lists of texts"
            )));
        }
    };
    form.push(name.to_owned(), text)
}
