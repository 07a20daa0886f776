//! What fits, what does not, and what is said of it.

use std::num::NonZeroUsize;

use serde_json::json;

use super::{accept, told};
use crate::{MAX_VIOLATIONS, Schemas, is_shipped, shipped, shipped_names};

#[test]
fn every_violation_is_told_with_its_path_and_what_was_expected() {
    let schema = json!({
        "type": "object",
        "required": ["name", "email"],
        "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "minLength": 2 },
            "email": { "type": "string" },
            "lines": { "type": "array", "items": { "type": "object", "properties": { "quantity": { "minimum": 1 } } } },
            "kind": { "enum": ["person", "company"] }
        }
    });
    let data =
        json!({ "name": "A", "lines": [{ "quantity": 1 }, { "quantity": 0 }, 7], "kind": "dog", "x/y": 1 });
    let said = told(&schema, &data);
    for part in [
        "it does not fit `test@1`: ",
        "`/email` must be there",
        "`/name` must have 2 characters or more",
        "`/lines/1/quantity` must be 1 or more",
        "`/lines/2` must be of type object",
        "`/kind` must be one of \"person\", \"company\"",
        "`/x~1y` must not be there: the schema knows no such property",
    ] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert_eq!(told(&schema, &json!({ "name": "Ada", "email": "a@b.example" })), "it fits");
}

#[test]
fn no_value_is_told() {
    let schema = json!({
        "properties": {
            "a": { "pattern": "^x$" }, "b": { "const": 1 }, "c": { "anyOf": [{ "type": "null" }, { "maxLength": 1 }] },
            "d": { "not": { "type": "string" } }, "e": { "type": "number" }, "f": { "oneOf": [true, true] },
            "g": { "contains": { "type": "null" } }, "h": { "propertyNames": { "maxLength": 1 } },
            "i": { "uniqueItems": true }
        }
    });
    let secret = "hunter2";
    let data = json!({
        "a": secret, "b": secret, "c": secret, "d": secret, "e": secret, "f": secret, "g": [secret],
        "h": { "xx": secret }, "i": [secret, secret]
    });
    let said = told(&schema, &data);
    assert_eq!(said.matches("must").count(), 9, "{said}");
    assert!(!said.contains(secret), "{said}");
}

#[test]
fn violations_are_at_most_fifty_and_their_text_is_short() {
    let schema = json!({ "items": { "type": "string" } });
    let schema = accept(&schema).unwrap();
    let many = json!((0..1_000).collect::<Vec<_>>());
    let violations = Schemas::default().check_value(&schema, &many).unwrap_err();
    assert_eq!((violations.list.len(), violations.more), (MAX_VIOLATIONS, true));
    assert!(violations.to_string().len() < 5_000);
    let long = json!({ "k".repeat(100_000): 1 });
    let closed = accept(&json!({ "additionalProperties": false })).unwrap();
    let violations = Schemas::default().check_value(&closed, &long).unwrap_err();
    assert!(violations.to_string().len() < 1_000, "{violations}");
}

#[test]
fn a_text_that_is_not_json_does_not_fit() {
    let schemas = Schemas::default();
    let schema = accept(&json!({})).unwrap();
    assert!(schemas.check(&schema, "{}").is_ok());
    let said = schemas.check(&schema, "{\"a\":").unwrap_err().to_string();
    assert!(said.contains("must be JSON"), "{said}");
    let deep = "[".repeat(100) + &"]".repeat(100);
    let said = schemas.check(&schema, &deep).unwrap_err().to_string();
    assert!(said.contains("nest at most 64 deep"), "{said}");
}

#[test]
fn a_tree_and_a_list_may_be_recursive() {
    let tree = json!({
        "type": "object",
        "properties": {
            "value": { "type": "number" },
            "left": { "$ref": "#" }, "right": { "$ref": "#" },
            "children": { "type": "array", "items": { "$ref": "#" } }
        },
        "patternProperties": { "^x-": { "$ref": "#" } }
    });
    let good = json!({ "value": 1, "left": { "value": 2 }, "x-a": { "children": [{ "value": 3 }, {}] } });
    assert_eq!(told(&tree, &good), "it fits");
    let said = told(&tree, &json!({ "left": { "children": [{}, { "right": { "value": "x" } }] } }));
    assert!(said.contains("`/left/children/1/right/value` must be of type number"), "{said}");
}

#[test]
fn definitions_that_refer_to_each_other_are_accepted() {
    // As of a small language: every form may hold any other, each under a name of its own.
    let forms: Vec<_> = (0..20).map(|form| format!("form-{form}")).collect();
    let mut definitions = serde_json::Map::new();
    for form in &forms {
        let parts: serde_json::Map<_, _> = forms
            .iter()
            .map(|other| (format!("in-{other}"), json!({ "$ref": format!("#/$defs/{other}") })))
            .collect();
        definitions.insert(form.clone(), json!({ "type": "object", "properties": parts }));
    }
    let schema = json!({ "$ref": "#/$defs/form-0", "$defs": definitions });
    assert_eq!(told(&schema, &json!({ "in-form-3": { "in-form-19": {} } })), "it fits");
    let said = told(&schema, &json!({ "in-form-3": { "in-form-19": 1 } }));
    assert!(said.contains("`/in-form-3/in-form-19` must be of type object"), "{said}");
}

#[test]
fn closed_schemas_may_be_composed() {
    let schema = json!({
        "allOf": [{ "properties": { "a": { "type": "number" } } }],
        "properties": { "b": true },
        "unevaluatedProperties": false
    });
    assert_eq!(told(&schema, &json!({ "a": 1, "b": 2 })), "it fits");
    assert!(told(&schema, &json!({ "c": 1 })).contains("`/c` must not be there"));
}

#[test]
fn what_a_schema_calls_itself_changes_nothing() {
    // Were it believed, `#/...` would lead into the standard's own schema.
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/a", "$defs": { "a": { "type": "null" } }
    });
    assert_eq!(told(&schema, &json!(null)), "it fits");
    assert_ne!(told(&schema, &json!({})), "it fits");
}

#[test]
fn the_shipped_schemas_are_there_and_describe_every_field() {
    let names: Vec<_> = shipped_names().map(ToString::to_string).collect();
    assert_eq!(names, ["contact@1", "lead@1", "notification@1", "order@1", "ticket@1"]);
    for name in shipped_names() {
        let schema = shipped(name).unwrap();
        assert!(schema.document()["description"].is_string(), "{name}");
        for (field, it) in schema.document()["properties"].as_object().unwrap() {
            assert!(it["description"].is_string() || it["$ref"].is_string(), "{name}: {field} says nothing");
        }
    }
    assert!(is_shipped(&"lead".parse().unwrap()) && !is_shipped(&"leads".parse().unwrap()));
}

#[test]
fn the_shipped_schemas_take_what_they_are_for() {
    let schemas = Schemas::default();
    let address =
        json!({ "street": "Hauptstr. 1", "postal-code": "10115", "city": "Berlin", "country": "DE" });
    let line = json!({ "sku": "A-1", "quantity": 2, "price": "9.95" });
    let cases = [
        (
            "lead@1",
            json!({ "name": "Ada", "email": "ada@a.example", "region": "emea", "message": "hi", "source": "web" }),
            "/email",
        ),
        ("contact@1", json!({ "id": "7", "name": "Ada", "address": address }), "/id"),
        (
            "order@1",
            json!({ "id": "4711", "currency": "EUR", "total": "19.90", "lines": [line], "ship-to": address }),
            "/lines",
        ),
        ("ticket@1", json!({ "id": "1", "title": "It rains in", "status": "open" }), "/status"),
        ("notification@1", json!({ "text": "done", "level": "success" }), "/text"),
    ];
    for (name, good, needed) in cases {
        let schema = shipped(&name.parse().unwrap()).unwrap();
        assert_eq!(schemas.check_value(schema, &good), Ok(()), "{name}");
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(&needed[1..]);
        let said = schemas.check_value(schema, &bad).unwrap_err().to_string();
        assert!(said.contains(&format!("`{needed}` must be there")), "{said}");
    }
}

#[test]
fn compiled_schemas_are_kept_up_to_a_number() {
    let schemas = Schemas::keeping(NonZeroUsize::new(2).unwrap());
    let all: Vec<_> = (0..4).map(|n| accept(&json!({ "const": n })).unwrap()).collect();
    for _ in 0..2 {
        for (n, schema) in all.iter().enumerate() {
            assert!(schemas.check_value(schema, &json!(n)).is_ok());
            assert!(schemas.check_value(schema, &json!(n + 1)).is_err());
            assert!(schemas.count() <= 2);
        }
    }
}
