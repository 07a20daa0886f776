//! A workflow's text, read and checked as a whole.

mod checking;
mod hostile;
mod pages;
mod reading;
mod round_trip;

use serde_json::json;

use crate::{Flow, Problem, Surroundings, check, read};

/// What the tests' workflows find around them.
fn around() -> Surroundings {
    serde_json::from_value(json!({
        "connections": {
            "crm": {
                "create-lead": { "takes": "lead@1", "gives": "contact@1" },
                "delete-lead": { "takes": null, "gives": null },
                "find": {},
            },
            "mail": { "send": { "takes": "notification@1" } },
            "broken": null,
        },
        "workflows": ["invoice", "lead-intake"],
        "schemas": {
            "notification@1": {
                "type": "object",
                "required": ["to", "text"],
                "properties": { "to": { "type": "string" }, "text": { "type": "string" } },
            },
        },
    }))
    .unwrap()
}

/// The steps as a whole document: the first one stands in line 3.
fn document(steps: &str) -> String {
    format!("kind: workflow\nsteps:\n{steps}")
}

fn flow(steps: &str) -> Flow {
    read(&document(steps), "f.yaml").unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// All that is said of these steps, a line each.
fn said(steps: &str) -> String {
    match read(&document(steps), "f.yaml") {
        Ok(flow) => lines(&check(&flow, &around())),
        Err(problems) => lines(&problems),
    }
}
