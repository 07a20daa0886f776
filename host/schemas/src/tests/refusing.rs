//! Schemas that are not taken, and what is said of them.

use serde_json::json;

use super::accept;

#[test]
fn a_schema_that_is_not_taken_says_why_and_where() {
    let cases = [
        (json!("x"), "a schema is a mapping"),
        (
            json!({ "properties": { "a": { "type": "txt" } } }),
            "at `/properties/a/type` it is not JSON Schema 2020-12",
        ),
        (json!({ "items": [true] }), "/items"),
        (json!({ "$ref": "https://example.com/x" }), "leads out of the document"),
        (json!({ "$defs": { "a": { "$ref": "file:///etc/passwd" } } }), "leads out of the document"),
        (json!({ "$ref": "lead@1" }), "leads out of the document"),
        (json!({ "$ref": "#/$defs/absent" }), "the reference `#/$defs/absent` leads nowhere"),
        (json!({ "$schema": "http://json-schema.org/draft-07/schema#" }), "`$schema` is not taken"),
        (json!({ "$defs": { "a": { "$id": "https://example.com/" } } }), "`$id` is not taken"),
        (json!({ "$dynamicRef": "#x" }), "`$dynamicRef` is not taken"),
        (json!({ "$anchor": "x" }), "`$anchor` is not taken"),
        (json!({ "dependencies": { "a": ["b"] } }), "`dependencies` is not taken"),
        (json!({ "$ref": "#" }), "refers to itself without going into the data"),
        (
            json!({ "allOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "not": { "$ref": "#" } } } }),
            "refers to itself",
        ),
        (json!({ "pattern": "(?=x)" }), "look-around"),
        (json!({ "pattern": "(a)\\1" }), "look-around"),
        (json!({ "pattern": "(" }), "/pattern"),
    ];
    for (schema, want) in cases {
        let said = accept(&schema).expect_err(want).to_string();
        assert!(said.contains(want), "{schema} gives: {said}");
    }
}

#[test]
fn a_property_of_the_data_may_be_named_like_a_keyword() {
    let schema =
        json!({ "properties": { "$ref": { "type": "string" }, "$id": true, "$anchor": { "type": "null" } } });
    // `$id: true` is a schema, but cannot be told from the keyword: say `{}`.
    assert!(accept(&schema).is_ok() || accept(&schema).unwrap_err().to_string().contains("$id"));
    assert!(
        accept(&json!({ "properties": { "$id": {}, "$ref": {}, "items": {}, "dependencies": {} } })).is_ok()
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let long = json!({ "enum": ["x".repeat(crate::MAX_SCHEMA)] });
    assert!(accept(&long).unwrap_err().to_string().contains("bytes as JSON"));
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({ "properties": { "a": deep } });
    }
    assert!(accept(&deep).unwrap_err().to_string().contains("nests deeper"));
}
