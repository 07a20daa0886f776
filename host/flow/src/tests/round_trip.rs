//! Any workflow is read back as it was written, and parts of it are workflows.

use proptest::prelude::*;
use serde_json::json;

use super::{around, flow};
use crate::{Flow, check, read};

/// YAML's flow style is JSON's, so that any step can be written by `json!`.
fn step() -> impl Strategy<Value = serde_json::Value> {
    let value = prop_oneof![
        Just(json!("${ .a }")),
        Just(json!({ "x": ["a ${ .b } c", null, 1.5, true] })),
        "[a-z \"$\\\\\n]{0,12}".prop_map(|text| json!(text)),
        any::<i64>().prop_map(|number| json!(number)),
    ];
    let leaf = (value, 0..8_u8).prop_map(|(value, kind)| match kind {
        0 => json!({ "call": "crm.find", "with": value, "undo": { "call": "crm.delete-lead" } }),
        1 => json!({ "map": value }),
        2 => json!({ "reply": value }),
        3 => json!({ "set": { "total": value }, "keys": { "order": "${ .id }" } }),
        4 => json!({ "publish": "news", "with": value }),
        5 => json!({ "sleep": "5m" }),
        6 => json!({ "workflow": "invoice", "with": value }),
        _ => json!({ "stop": value }),
    });
    leaf.prop_recursive(3, 16, 3, |inner| {
        (prop::collection::vec(inner, 1..3), 0..6_u8).prop_map(|(steps, kind)| match kind {
            0 => json!({ "if": "${ .a }", "then": steps, "else": steps }),
            1 => json!({ "switch": "${ .a }", "cases": { "a": steps, "b": steps } }),
            2 => json!({ "for-each": "${ .a }", "steps": steps, "at-once": 3, "gives": "${ $item }" }),
            3 => json!({ "parallel": { "a": steps, "b": steps } }),
            4 => json!({ "try": steps, "on": "conflict", "catch": steps }),
            _ => json!({ "wait-for": "ok", "timeout": "1d", "notify": steps, "on-timeout": steps }),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_read_back_as_it_was(steps in prop::collection::vec(step(), 1..4)) {
        let text = json!({ "kind": "workflow", "name": "x", "steps": steps, "answer": "${ .a }" }).to_string();
        // A `${` that a generated text never closes is no workflow.
        if let Ok(flow) = read(&text, "f.yaml") {
            prop_assert_eq!(&Flow::from_json(&flow.to_json()).unwrap(), &flow);
            check(&flow, &around());
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_told_off(text in "[-\\[\\]{}:,&*!|>'\"%@`#?a-d0-9$ \n.]{0,80}") {
        if let Ok(flow) = read(&text, "f.yaml") {
            check(&flow, &around());
        }
        let _ = read(&format!("steps:\n{text}"), "f.yaml");
    }
}

#[test]
fn a_part_is_a_workflow() {
    let flow = flow(
        "- { id: a, map: 1 }\n- if: ${ .x }\n  then: [{ id: b, map: \"${ $a }\" }]\n- { id: c, map: \"${ [$a, $b] }\" }\n- stop",
    );
    let one = flow.only("b", vec![("a".to_owned(), json!(5))]).unwrap();
    assert_eq!((one.steps.len(), one.steps[0].line), (1, 5));
    assert_eq!(one.file, "f.yaml");
    assert_eq!(one.given, [("a".to_owned(), json!(5))]);
    assert!(check(&one, &around()).is_empty());
    let rest = flow.from_step("c", Vec::new()).unwrap();
    assert_eq!(rest.steps.iter().map(|step| step.line).collect::<Vec<_>>(), [6, 7]);
    assert!(flow.only("d", Vec::new()).is_none());
    assert!(flow.from_step("b", Vec::new()).is_none(), "it stands within another step");
}

#[test]
fn what_is_no_tree_is_told() {
    assert!(Flow::from_json("{}").is_err() && Flow::from_json("steps: []").is_err());
}
