//! The examples that people copy work.

use serde_json::json;

use super::lines;
use crate::{Surroundings, check, read};

const PAGE: &str = include_str!("../../../../docs/how-to/write-a-workflow.md");

#[test]
fn every_example_of_the_page_is_read_and_has_no_problem() {
    let around: Surroundings = serde_json::from_value(json!({
        "connections": {
            "crm": { "create-lead": { "takes": "lead@1" }, "delete-lead": {}, "find-lead": {} },
            "mail": { "send": {} },
            "chat": { "post": {} },
        },
        "workflows": ["invoice", "newsletter"],
    }))
    .unwrap();
    let examples: Vec<&str> =
        PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 9, "the page has lost examples");
    for example in examples {
        let flow = read(example, "page.md").unwrap_or_else(|bad| panic!("{example}\n{}", lines(&bad)));
        let problems = check(&flow, &around);
        assert!(problems.is_empty(), "{example}\n{}", lines(&problems));
    }
}

#[test]
fn the_page_names_every_word() {
    for (verb, keys) in crate::read::VERBS {
        for word in [verb].iter().chain(keys) {
            assert!(PAGE.contains(&format!("{word}:")), "the page does not show `{word}`");
        }
    }
}
