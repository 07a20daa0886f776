//! What is certain of a value before a run, held against a JSON Schema.
//!
//! Only what cannot fit whatever the expressions give is told; the host checks
//! the rest when the step is made. So keywords that are not known here are
//! passed over.

use serde_json::{Map, Value};

use crate::suggest::hint;
use crate::template::Template;

/// How deep a schema is followed, its references included: a schema may name itself.
const MAX_DEPTH: usize = 32;
/// How often a part of a value is held against a part of a schema: one that
/// names itself several times over would never end.
const MAX_LOOKS: usize = 20_000;
/// How much is told of one value.
const MAX_MISFITS: usize = 10;

/// Why a value can never fit a schema; empty if it may.
pub(super) fn misfits(value: &Template, schema: &Value) -> Vec<String> {
    let mut search = Search { root: schema, found: Vec::new(), looks: 0 };
    search.look(Seen::of(value), schema, &mut String::new(), MAX_DEPTH);
    search.found.truncate(MAX_MISFITS);
    search.found
}

/// A part of a value, as far as it is known.
#[derive(Clone, Copy)]
enum Seen<'a> {
    /// All of it.
    Value(&'a Value),
    /// A text that is not known.
    SomeText,
    List(&'a [Template]),
    Map(&'a [(String, Template)]),
    /// Nothing.
    Any,
}

impl<'a> Seen<'a> {
    fn of(template: &'a Template) -> Self {
        match template {
            Template::Literal(value) => Self::Value(value),
            Template::Jq(_) => Self::Any,
            Template::Text(_) => Self::SomeText,
            Template::List(items) => Self::List(items),
            Template::Map(entries) => Self::Map(entries),
        }
    }

    /// Its JSON type.
    fn kind(self) -> Option<&'static str> {
        Some(match self {
            Self::Value(Value::Null) => "null",
            Self::Value(Value::Bool(_)) => "boolean",
            Self::Value(Value::Number(number)) if number.as_f64().is_some_and(|it| it.fract() == 0.0) => {
                "integer"
            }
            Self::Value(Value::Number(_)) => "number",
            Self::Value(Value::String(_)) | Self::SomeText => "string",
            Self::Value(Value::Array(_)) | Self::List(_) => "array",
            Self::Value(Value::Object(_)) | Self::Map(_) => "object",
            Self::Any => return None,
        })
    }

    fn items(self) -> Vec<Self> {
        match self {
            Self::Value(Value::Array(items)) => items.iter().map(Self::Value).collect(),
            Self::List(items) => items.iter().map(Self::of).collect(),
            _ => Vec::new(),
        }
    }

    fn entries(self) -> Vec<(&'a str, Self)> {
        match self {
            Self::Value(Value::Object(entries)) => {
                entries.iter().map(|(key, value)| (key.as_str(), Self::Value(value))).collect()
            }
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.as_str(), Self::of(value))).collect()
            }
            _ => Vec::new(),
        }
    }
}

struct Search<'a> {
    root: &'a Value,
    found: Vec<String>,
    looks: usize,
}

impl<'a> Search<'a> {
    fn look(&mut self, seen: Seen<'_>, schema: &'a Value, path: &mut String, left: usize) {
        let Some(left) = left.checked_sub(1) else { return };
        self.looks += 1;
        if self.looks > MAX_LOOKS {
            return;
        }
        let Value::Object(schema) = schema else {
            if *schema == Value::Bool(false) {
                self.found.push(format!("{} must not be there", place(path)));
            }
            return;
        };
        if let Some(referred) = schema.get("$ref").and_then(Value::as_str).and_then(|it| self.referred(it)) {
            self.look(seen, referred, path, left);
        }
        for all in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.look(seen, all, path, left);
        }
        if !self.kind_fits(seen, schema, path) {
            return;
        }
        self.choice(seen, schema, path);
        self.object(seen, schema, path, left);
        if let Some(of) = schema.get("items") {
            let skip = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
            for (index, item) in seen.items().into_iter().enumerate().skip(skip) {
                self.below(item, of, path, &index.to_string(), left);
            }
        }
    }

    fn kind_fits(&mut self, seen: Seen<'_>, schema: &Map<String, Value>, path: &str) -> bool {
        let (Some(kind), Some(wanted)) = (seen.kind(), schema.get("type")) else { return true };
        let wanted: Vec<&str> = match wanted {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        if wanted.contains(&kind) || kind == "integer" && wanted.contains(&"number") {
            return true;
        }
        self.found.push(format!(
            "{} is {}, not {}",
            place(path),
            named(kind),
            wanted.iter().map(|it| named(it)).collect::<Vec<_>>().join(" or ")
        ));
        false
    }

    fn choice(&mut self, seen: Seen<'_>, schema: &Map<String, Value>, path: &str) {
        let Seen::Value(value) = seen else { return };
        if value.is_array() || value.is_object() {
            return; // numbers in them may be equal and written differently
        }
        let same = |other: &Value| {
            other == value || matches!((other.as_f64(), value.as_f64()), (Some(a), Some(b)) if a == b)
        };
        if let Some(choices) = schema.get("enum").and_then(Value::as_array)
            && !choices.iter().any(same)
        {
            let near = hint(value.as_str().unwrap_or_default(), choices.iter().filter_map(Value::as_str));
            let known: Vec<String> = choices.iter().take(20).map(Value::to_string).collect();
            self.found.push(format!("{} is none of {}{near}", place(path), known.join(", ")));
        }
        if let Some(only) = schema.get("const").filter(|only| !same(only)) {
            self.found.push(format!("{} is not {only}", place(path)));
        }
    }

    fn object(&mut self, seen: Seen<'_>, schema: &'a Map<String, Value>, path: &mut String, left: usize) {
        if seen.kind() != Some("object") {
            return;
        }
        let entries = seen.entries();
        for name in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !entries.iter().any(|(key, _)| *key == name) {
                self.found.push(format!("{} lacks `{name}`", place(path)));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = || properties.into_iter().flat_map(Map::keys).map(String::as_str);
        for (key, value) in entries {
            match properties.and_then(|properties| properties.get(key)) {
                Some(of) => self.below(value, of, path, key, left),
                None if schema.get("additionalProperties") == Some(&Value::Bool(false))
                    && !schema.contains_key("patternProperties") =>
                {
                    self.found.push(format!(
                        "{} has `{}`, which is not known{}",
                        place(path),
                        key.escape_debug(),
                        hint(key, known())
                    ));
                }
                None => {}
            }
        }
    }

    fn below(&mut self, seen: Seen<'_>, schema: &'a Value, path: &mut String, key: &str, left: usize) {
        let before = path.len();
        path.push('.');
        path.extend(key.escape_debug());
        self.look(seen, schema, path, left);
        path.truncate(before);
    }

    /// What a reference within the schema means.
    fn referred(&self, reference: &str) -> Option<&'a Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }
}

fn place(path: &str) -> String {
    format!("`with{path}`")
}

fn named(kind: &str) -> &str {
    match kind {
        "null" => "nothing",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        _ => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(value: &Value) -> Vec<String> {
        let schema = json!({
            "type": "object",
            "required": ["name", "size"],
            "additionalProperties": false,
            "properties": {
                "name": { "type": "string" },
                "size": { "enum": ["small", "large"] },
                "count": { "type": "integer" },
                "tags": { "type": "array", "items": { "$ref": "#/$defs/tag" } },
                "next": { "$ref": "#" },
                "never": false,
            },
            "$defs": { "tag": { "type": ["string", "null"] } },
        });
        misfits(&made(value), &schema)
    }

    fn made(value: &Value) -> Template {
        match value {
            Value::String(text) => Template::text(text, 1, 1, 1).unwrap(),
            Value::Array(items) => Template::List(items.iter().map(made).collect()),
            Value::Object(entries) => {
                Template::Map(entries.iter().map(|(key, it)| (key.clone(), made(it))).collect())
            }
            other => Template::Literal(other.clone()),
        }
    }

    #[test]
    fn what_may_fit_is_let_pass() {
        for value in [
            json!("${ . }"),
            json!({ "name": "a ${ .b }", "size": "${ .size }", "count": 2.0, "tags": ["x", null, "${ .t }"] }),
            json!({ "name": "n", "size": "small", "next": { "name": "${ .n }", "size": "large" } }),
        ] {
            assert_eq!(told(&value), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn what_cannot_fit_is_told_with_its_path() {
        for (value, want) in [
            (json!(null), vec!["`with` is nothing, not a mapping"]),
            (json!("text ${ . }"), vec!["`with` is a text, not a mapping"]),
            (
                json!({ "name": 1, "size": "larg" }),
                vec![
                    "`with.name` is a whole number, not a text",
                    "`with.size` is none of \"small\", \"large\" (did you mean `large`?)",
                ],
            ),
            (
                json!({ "nane": "n", "size": "small" }),
                vec!["`with` lacks `name`", "`with` has `nane`, which is not known (did you mean `name`?)"],
            ),
            (
                json!({ "name": "n", "size": "small", "count": 1.5, "tags": ["x", 2], "never": "${ . }" }),
                vec![
                    "`with.count` is a number, not a whole number",
                    "`with.never` must not be there",
                    "`with.tags.1` is a whole number, not a text or nothing",
                ],
            ),
            (
                json!({ "name": "n", "size": "small", "next": { "name": "${ . }" } }),
                vec!["`with.next` lacks `size`"],
            ),
        ] {
            assert_eq!(told(&value), want, "{value}");
        }
    }

    #[test]
    fn a_schema_that_names_itself_ends() {
        let schema = json!({ "$ref": "#", "allOf": [{ "$ref": "#" }, { "$ref": "#" }] });
        assert!(misfits(&Template::Literal(json!(1)), &schema).is_empty());
    }
}
