//! Schemas and data made to keep the host busy. Each of these would take for
//! ever, all memory or all stack without its bound.

use serde_json::{Map, Value, json};

use super::{accept, told, watched};
use crate::{BadSchema, Schema, Schemas};

/// `a0` leads twice to `a1`, which leads twice to `a2`, …
fn doubling(levels: usize, twice: impl Fn(Value) -> Value) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
        definitions.insert(format!("a{level}"), twice(next));
    }
    definitions.insert(format!("a{levels}"), json!({ "type": "number" }));
    json!({ "$ref": "#/$defs/a0", "$defs": definitions })
}

fn too_wide(schema: Value) {
    let refused = watched(move || accept(&schema).map(|_| ()));
    assert!(
        matches!(refused, Err(BadSchema::TooWide { .. } | BadSchema::Chain(_) | BadSchema::TooLong)),
        "{refused:?}"
    );
}

#[test]
fn branches_that_double_at_one_place_are_refused() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        too_wide(doubling(11, |next| json!({ keyword: [next, next] })));
        too_wide(doubling(60, |next| json!({ keyword: [next, next] })));
    }
    too_wide(doubling(11, |next| json!({ "if": next, "then": next, "else": next })));
    too_wide(doubling(11, |next| json!({ "not": next, "dependentSchemas": { "a": next } })));
}

#[test]
fn branches_that_double_further_in_are_refused() {
    too_wide(doubling(30, |next| json!({ "allOf": [{ "items": next }, { "items": next }] })));
    too_wide(doubling(30, |next| json!({ "items": next, "contains": next })));
    too_wide(doubling(30, |next| json!({ "properties": { "a": next }, "patternProperties": { "a": next } })));
    too_wide(doubling(30, |next| json!({ "patternProperties": { "a": next, "^a": next } })));
    too_wide(doubling(30, |next| json!({ "anyOf": [{ "prefixItems": [next] }, { "items": next }] })));
}

#[test]
fn recursion_that_is_entered_twice_at_one_place_is_refused() {
    let again = json!({ "$ref": "#" });
    too_wide(json!({ "allOf": [{ "properties": { "a": again } }, { "properties": { "a": again } }] }));
    too_wide(json!({ "anyOf": [{ "items": again }, { "items": again }] }));
    too_wide(json!({ "oneOf": [{ "properties": { "a": again } }, { "additionalProperties": again }] }));
    too_wide(json!({ "items": again, "contains": again }));
    too_wide(json!({ "if": { "items": again }, "then": { "items": again } }));
    // Each looks a second time at what the others have looked at.
    too_wide(json!({ "allOf": [{ "properties": { "a": again } }], "unevaluatedProperties": false }));
    // By a detour, at every other level.
    too_wide(json!({
        "properties": { "a": { "$ref": "#/$defs/b" } },
        "$defs": { "b": { "allOf": [{ "properties": { "a": again } }, { "properties": { "a": again } }] } }
    }));
}

#[test]
fn what_only_seems_to_double_is_accepted_and_quick() {
    // Different names lead to the same definition: no place of the data has it twice.
    let wide = doubling(60, |next| json!({ "properties": { "a": next, "b": next } }));
    let said = watched(move || told(&wide, &json!({ "a": { "b": { "a": 1 } } })));
    assert_eq!(said, "it fits");
    let closed = doubling(
        20,
        |next| json!({ "properties": { "a": next, "b": next }, "unevaluatedProperties": false }),
    );
    let said = watched(move || told(&closed, &json!({ "a": { "b": { "c": 1 } } })));
    assert!(said.contains("`/a/b/c` must not be there"), "{said}");
}

#[test]
fn patterns_are_linear_and_small() {
    // Exponential where an engine backtracks.
    let catastrophic = json!({ "pattern": "^(a|a)*(a+)+$" });
    let text = "a".repeat(500_000) + "b";
    let said = watched(move || told(&catastrophic, &json!(text)));
    assert!(said.contains("must match") || said.contains("must be smaller"), "{said}");

    for large in ["(a{1000}){1000}", "\\w{500}", "(((a{30}){30}){30}){30}"] {
        let refused = watched(move || accept(&json!({ "pattern": large })).map(|_| ()));
        assert!(matches!(refused, Err(BadSchema::Pattern { .. })), "{large}: {refused:?}");
    }
    let many: Map<String, Value> = (0..2_000).map(|n| (format!("^\\w{{5}}{n}$"), json!(true))).collect();
    let refused = watched(move || accept(&json!({ "patternProperties": many })).map(|_| ()));
    assert!(matches!(refused, Err(BadSchema::Pattern { .. })), "{refused:?}");
}

#[test]
fn the_slowest_pattern_on_the_longest_text_is_bounded() {
    // Its deterministic form has 2^14 states, so the engine falls back to its slow one.
    let slow = json!({ "pattern": "^(a|b)*a(a|b){14}c$" });
    let text: String =
        (0..1_000_000_u64).map(|n| if n.wrapping_mul(n ^ 0x9e37) % 7 < 3 { 'a' } else { 'b' }).collect();
    let said = watched(move || told(&slow, &json!(text)));
    assert!(said.contains("must"), "{said}");
}

#[test]
fn huge_lists_of_values_cost_what_they_are() {
    let values: Vec<_> = (0..9_000).collect();
    let schema = json!({ "items": { "enum": values } });
    let (few, many): (Vec<_>, Vec<_>) = ((0..2_000).collect(), vec![-1; 400_000]);
    let again = schema.clone();
    assert_eq!(watched(move || told(&schema, &json!(few))), "it fits");
    let said = watched(move || told(&again, &json!(many)));
    assert!(said.contains("must be smaller"), "{said}");
}

#[test]
fn unique_items_of_big_arrays_are_bounded_even_where_all_hashes_are_the_same() {
    let schema = json!({ "uniqueItems": true });
    // The engine hashes `[]`, `[[]]`, `[[],[]]` alike.
    fn nested(mut shape: u32) -> Value {
        let mut items = Vec::new();
        while shape > 0 {
            items.push(if shape & 1 == 1 { json!([[]]) } else { json!([]) });
            shape >>= 1;
        }
        Value::Array(items)
    }
    let (some, many): (Vec<_>, Vec<_>) =
        ((1..3_000).map(nested).collect(), (1..100_000).map(nested).collect());
    let again = schema.clone();
    assert_eq!(watched(move || told(&schema, &json!(some))), "it fits");
    assert!(watched(move || told(&again, &json!(many))).contains("must be smaller"));
}

#[test]
fn the_largest_data_against_a_wide_schema_is_bounded() {
    let parts: Vec<_> = (0..900).map(|n| json!({ "minLength": n, "type": "string" })).collect();
    let all = json!({ "items": { "allOf": parts } });
    let any = json!({ "items": { "anyOf": parts } });
    for (schema, items) in [(&all, 10), (&all, 30_000), (&all, 500_000), (&any, 10), (&any, 30_000)] {
        let (schema, data) = (schema.clone(), json!(vec![7; items]));
        let said = watched(move || told(&schema, &data));
        assert!(said.contains("must"), "{said}");
    }
}

#[test]
fn alternatives_inside_each_other_are_told_in_bounded_time() {
    // Each level first tries, then tells; what is told holds a copy of the data.
    let schema = json!({ "anyOf": [{ "type": "null" }, { "items": { "$ref": "#" }, "type": "array" }] });
    let mut data = json!("x".repeat(500_000));
    for _ in 0..60 {
        data = json!([data]);
    }
    let said = watched(move || told(&schema, &data));
    assert!(said.contains("must fit"), "{said}");
}

#[test]
fn the_deepest_schema_on_the_deepest_data_fits_the_stack() {
    // As many references at each place as may be, at as many places as may be.
    let mut definitions = Map::new();
    for link in 0..20 {
        definitions
            .insert(format!("c{link}"), json!({ "allOf": [{ "$ref": format!("#/$defs/c{}", link + 1) }] }));
    }
    definitions.insert("c20".to_owned(), json!({ "items": { "$ref": "#" } }));
    let long = json!({ "$ref": "#/$defs/c0", "$defs": definitions });
    let refused = accept(&long).map(|_| ());
    assert!(matches!(refused, Err(BadSchema::Chain(_))), "{refused:?}");

    let mut definitions = Map::new();
    for link in 0..9 {
        definitions
            .insert(format!("c{link}"), json!({ "anyOf": [{ "$ref": format!("#/$defs/c{}", link + 1) }] }));
    }
    definitions.insert("c9".to_owned(), json!({ "items": { "$ref": "#" }, "type": "array" }));
    let schema = json!({ "$ref": "#/$defs/c0", "$defs": definitions });
    let mut data = json!(1);
    for _ in 0..62 {
        data = json!([data]);
    }
    assert!(watched(move || told(&schema, &data)).contains("must"));
}

#[test]
fn definitions_that_nest_deep_are_refused_before_the_compiler_meets_them() {
    let chain = |links: usize| {
        let mut definitions = Map::new();
        for link in 0..links {
            definitions
                .insert(format!("{link}"), json!({ "items": { "$ref": format!("#/$defs/{}", link + 1) } }));
        }
        definitions.insert(links.to_string(), json!({}));
        json!({ "$ref": "#/$defs/0", "$defs": definitions })
    };
    let refused = watched(move || accept(&chain(1_000)).map(|_| ()));
    assert!(matches!(refused, Err(BadSchema::Nesting(_))), "{refused:?}");
    let deepest = (1..1_000).rev().find(|links| crate::guard::guard(&chain(*links)).is_ok()).unwrap();
    assert!(deepest > 100, "{deepest}");
    watched(move || drop(accept(&chain(deepest)).unwrap()));
}

#[test]
fn no_mutation_of_a_schema_panics() {
    let seed = include_str!("../../schemas/order@1.json");
    watched(move || {
        let schemas = Schemas::default();
        for place in 0..seed.len() {
            for put in ["", "{", "\"$ref\":\"#\",", "0", "[", "#/"] {
                let Some((head, tail)) = seed.get(..place).zip(seed.get(place + 1..)) else { continue };
                let Ok(document) = serde_json::from_str::<Value>(&format!("{head}{put}{tail}")) else {
                    continue;
                };
                if place % 5 == 0
                    && let Ok(schema) = Schema::accept("test@1".parse().unwrap(), &document)
                {
                    let _ = schemas.check_value(&schema, &json!({ "id": "1", "lines": [{}] }));
                }
            }
        }
    });
}
